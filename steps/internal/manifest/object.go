package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

// Object is one rendered object. Data is the whole of it: maps with string keys, lists, strings, int, float64, bool
// and nil. Origin is the file of the repository that it came from, or "" where that is not certain.
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

// Result is what a kustomization renders: the objects in kustomize's order, and each as the JSON that kustomize makes of it.
type Result struct {
	Objects []Object
	JSON    []json.RawMessage
}

// YAML returns the bytes that the kustomize CLI prints, which makes them of JSON, too.
func (r *Result) YAML() ([]byte, error) {
	var all []byte
	for i, data := range r.JSON {
		text, err := yaml.JSONToYAML(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Objects[i].ID(), err)
		}
		if i > 0 {
			all = append(all, "---\n"...)
		}
		all = append(all, text...)
	}
	return all, nil
}

func decodeObject(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var data map[string]any
	err := decoder.Decode(&data)
	for key, value := range data {
		data[key] = plainNumbers(value)
	}
	return data, err
}

// plainNumbers replaces the numbers of JSON, which knows no difference between integers and others.
func plainNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		f, _ := v.Float64() // what is too large is infinite
		return f
	case []any:
		for i, item := range v {
			v[i] = plainNumbers(item)
		}
	case map[string]any:
		for key, item := range v {
			v[key] = plainNumbers(item)
		}
	}
	return value
}
