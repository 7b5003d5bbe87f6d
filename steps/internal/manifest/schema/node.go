package schema

import "slices"

// node is one schema in the stored form: what is left of OpenAPI when everything is dropped that decides nothing.
type node struct {
	// Type is object, array, string, integer, number, boolean, int-or-string or quantity; empty accepts everything.
	Type     string           `json:"t,omitempty"`
	Format   string           `json:"f,omitempty"`
	Ref      string           `json:"$,omitempty"`
	Fields   map[string]*node `json:"p,omitempty"`
	Required []string         `json:"r,omitempty"`
	Items    *node            `json:"i,omitempty"`
	// Values is the schema of fields that Fields does not name; without it and without Open they are unknown.
	Values *node `json:"v,omitempty"`
	Open   bool  `json:"o,omitempty"`

	Enum      []any    `json:"e,omitempty"`
	Pattern   string   `json:"x,omitempty"`
	Minimum   *float64 `json:"m,omitempty"`
	Maximum   *float64 `json:"M,omitempty"`
	MinLength *float64 `json:"l,omitempty"`
	MaxLength *float64 `json:"L,omitempty"`
	MinItems  *float64 `json:"n,omitempty"`
	MaxItems  *float64 `json:"N,omitempty"`

	All []*node `json:"a,omitempty"`
	Any []*node `json:"y,omitempty"`
	One []*node `json:"z,omitempty"`
	Not *node   `json:"!,omitempty"`
}

// dialect is who wrote a schema, which decides what an object without properties means.
type dialect int

const (
	builtin  dialect = iota // Kubernetes' own: any content
	custom                  // a CRD: no content, unless it asks to preserve unknown fields
	fragment                // a branch of allOf, anyOf, oneOf or not: it only adds to what stands beside it
)

const (
	componentPrefix = "#/components/schemas/"
	quantityName    = "io.k8s.apimachinery.pkg.api.resource.Quantity"
	intOrStringName = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
	objectMetaName  = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
)

// notEnforced is what Kubernetes' documents call required, and its servers do without: they fill it in, or take it for empty.
var notEnforced = map[string]string{
	"io.k8s.api.rbac.v1.RoleRef":         "apiGroup",
	"io.k8s.api.apps.v1.StatefulSetSpec": "serviceName",
	"io.k8s.api.storage.v1.CSIDriver":    "spec",
}

// convert turns an OpenAPI schema into the stored form. Keywords are looked up by position: description and default are
// also names of properties.
func convert(raw map[string]any, from dialect) *node {
	if ref := reference(raw); ref != "" {
		return &node{Ref: ref}
	}
	if raw["x-kubernetes-int-or-string"] == true || raw["format"] == "int-or-string" {
		return &node{Type: "int-or-string"}
	}
	n := &node{
		Type:      text(raw["type"]),
		Format:    storedFormat(text(raw["format"])),
		Pattern:   text(raw["pattern"]),
		Minimum:   numberOrNil(raw["minimum"]),
		Maximum:   numberOrNil(raw["maximum"]),
		MinLength: numberOrNil(raw["minLength"]),
		MaxLength: numberOrNil(raw["maxLength"]),
		MinItems:  numberOrNil(raw["minItems"]),
		MaxItems:  numberOrNil(raw["maxItems"]),
	}
	n.Enum, _ = raw["enum"].([]any)
	n.convertFields(raw, from)
	if items, ok := raw["items"].(map[string]any); ok {
		n.Items = convert(items, from)
	}
	n.All = convertAll(raw["allOf"])
	n.Any = convertAll(raw["anyOf"])
	n.One = convertAll(raw["oneOf"])
	if not, ok := raw["not"].(map[string]any); ok {
		n.Not = convert(not, fragment)
	}
	return n
}

func (n *node) convertFields(raw map[string]any, from dialect) {
	properties, _ := raw["properties"].(map[string]any)
	for name, property := range properties {
		if n.Fields == nil {
			n.Fields = map[string]*node{}
		}
		property, _ := property.(map[string]any)
		n.Fields[name] = convert(property, from)
	}
	required, _ := raw["required"].([]any)
	for _, name := range required {
		property, _ := properties[text(name)].(map[string]any)
		// The server fills in a default before it asks for the field; Kubernetes' own documents name defaults that are none.
		if _, filled := property["default"]; !filled || from == builtin {
			n.Required = append(n.Required, text(name))
		}
	}
	switch values := raw["additionalProperties"].(type) {
	case map[string]any:
		n.Values = convert(values, from)
	case bool:
		n.Open = values
	}
	switch {
	case from == fragment, raw["x-kubernetes-preserve-unknown-fields"] == true, raw["x-kubernetes-embedded-resource"] == true:
		n.Open = true
	case from == builtin && n.Fields == nil && n.Values == nil && (n.Type == "object" || n.Type == ""):
		n.Open = true
	}
}

func convertAll(raw any) []*node {
	list, _ := raw.([]any)
	var nodes []*node
	for _, branch := range list {
		if branch, ok := branch.(map[string]any); ok {
			nodes = append(nodes, convert(branch, fragment))
		}
	}
	return nodes
}

// reference returns the name a schema points to, also through the allOf that OpenAPI needs to say anything beside it.
func reference(raw map[string]any) string {
	if ref := text(raw["$ref"]); ref != "" {
		return ref[min(len(componentPrefix), len(ref)):]
	}
	all, _ := raw["allOf"].([]any)
	if len(all) != 1 || raw["properties"] != nil {
		return ""
	}
	only, _ := all[0].(map[string]any)
	if text(only["$ref"]) == "" {
		return ""
	}
	return reference(only)
}

// convertDefinition converts a definition of Kubernetes' own documents by its name, which says what its schema does not.
func convertDefinition(name string, raw map[string]any) *node {
	switch name {
	case quantityName:
		return &node{Type: "quantity"}
	case intOrStringName:
		return &node{Type: "int-or-string"}
	}
	n := convert(raw, builtin)
	n.Required = slices.DeleteFunc(n.Required, func(field string) bool { return field == notEnforced[name] })
	return n
}

func storedFormat(format string) string {
	switch format {
	case "int32", "date-time", "byte":
		return format
	default:
		return ""
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func numberOrNil(v any) *float64 {
	if f, ok := number(v); ok {
		return &f
	}
	return nil
}
