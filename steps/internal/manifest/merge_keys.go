package manifest

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// mergeKeysData is what kustomize reads of the OpenAPI document of Kubernetes 1.21 that it carries, namely how lists are
// merged. Parsing all of that document takes ten times as long as a small build. TestMergeKeysAreKustomizesOwn renews it.
//
//go:embed merge_keys.json.gz
var mergeKeysData []byte

// mergeKeys is a schema with as little in it as kustomize looks at.
type mergeKeys struct {
	Ref        string               `json:"$ref,omitempty"`
	Type       string               `json:"type,omitempty"` // "array" or nothing
	Fields     map[string]mergeKeys `json:"properties,omitempty"`
	Items      *mergeKeys           `json:"items,omitempty"`
	Values     *mergeKeys           `json:"additionalProperties,omitempty"`
	Extensions map[string]any       `json:"extensions,omitempty"`
}

var builtinDefinitions = sync.OnceValues(func() (spec.Definitions, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(mergeKeysData))
	if err != nil {
		return nil, fmt.Errorf("embedded merge keys: %w", err)
	}
	var all map[string]mergeKeys
	if err := json.NewDecoder(unzipped).Decode(&all); err != nil {
		return nil, fmt.Errorf("embedded merge keys: %w", err)
	}
	definitions := make(spec.Definitions, len(all))
	for name, m := range all {
		definitions[name] = m.schema()
	}
	return definitions, nil
})

func (m mergeKeys) schema() spec.Schema {
	var s spec.Schema
	s.Extensions = m.Extensions
	if m.Ref != "" {
		s.Ref = spec.MustCreateRef(m.Ref)
	}
	if m.Type != "" {
		s.Type = spec.StringOrArray{m.Type}
	}
	if m.Fields != nil {
		s.Properties = make(map[string]spec.Schema, len(m.Fields))
	}
	for name, field := range m.Fields {
		s.Properties[name] = field.schema()
	}
	if m.Items != nil {
		items := m.Items.schema()
		s.Items = &spec.SchemaOrArray{Schema: &items}
	}
	if m.Values != nil {
		values := m.Values.schema()
		s.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &values}
	}
	return s
}

// installSchema puts kustomize's global schema in the state in which builds share it. It is complete then: kustomize would
// fill it in while other builds read it.
func installSchema() error {
	definitions, err := builtinDefinitions()
	if err != nil {
		return err
	}
	openapi.ResetOpenAPI()
	openapi.SuppressBuiltInSchemaUse()
	openapi.AddDefinitions(definitions)
	openapi.Schema() // reads kustomize's own definitions
	return nil
}

var sharedSchema = sync.OnceValue(installSchema)
