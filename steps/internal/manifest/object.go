package manifest

// Object is one rendered object. Data is the whole of it as YAML decodes: maps with string keys, lists, strings, int,
// float64, bool and nil. Origin is the file of the repository that it came from, or "" where that is not certain.
type Object struct {
	APIVersion, Kind, Namespace, Name string
	Data                              map[string]any
	Origin                            string
}

// ID names the object for people and as a key within one build: "Deployment prod/app", without a namespace
// "ClusterRole admin".
func (o Object) ID() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Result is what a kustomization renders: the objects in kustomize's order, and the bytes that the kustomize CLI prints.
type Result struct {
	Objects []Object
	YAML    []byte
}
