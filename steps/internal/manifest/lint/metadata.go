package lint

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation"
)

// nameForm is the grammar of names of a kind; those that are not listed are DNS subdomains.
var nameForm = map[string]func(string) []string{
	"/Namespace":       isDNS1123Label,
	"/Service":         validation.IsDNS1035Label,
	"apps/StatefulSet": isDNS1123Label,

	"rbac.authorization.k8s.io/Role":               path.IsValidPathSegmentName,
	"rbac.authorization.k8s.io/ClusterRole":        path.IsValidPathSegmentName,
	"rbac.authorization.k8s.io/RoleBinding":        path.IsValidPathSegmentName,
	"rbac.authorization.k8s.io/ClusterRoleBinding": path.IsValidPathSegmentName,
}

// maxAnnotations is what all keys and values of an object's annotations may have together.
const maxAnnotations = 256 << 10

func (c *check) metadata() {
	if c.get("items").exists() && strings.HasSuffix(c.kind, "List") || c.kind == "List" {
		return
	}
	meta := c.get("metadata")
	form, ok := nameForm[c.group+"/"+c.kind]
	if !ok {
		form = isDNS1123Subdomain
	}
	name, prefix := meta.get("name"), meta.get("generateName")
	if name.text() == "" && prefix.text() == "" && !isOther(name.v) {
		c.add("name", name, "give the object a name", "object has no name")
	}
	c.grammar("name", name, form)
	c.grammar("name", prefix, func(s string) []string { return form(strings.TrimRight(s, "-") + "x") })
	c.grammar("namespace", meta.get("namespace"), isDNS1123Label)
	c.describe(meta)
	for _, finalizer := range meta.get("finalizers").items() {
		if s := finalizer.text(); s != "" {
			c.key("finalizer", finalizer, s)
		}
	}
}

// isOther says that there is a value, but none that could be a name: the schema's finding.
func isOther(v any) bool {
	_, isText := v.(string)
	return v != nil && !isText
}

// describe checks labels and annotations of an object or of a pod template.
func (c *check) describe(meta value) {
	c.labels("label", meta.get("labels"))
	annotations, size := meta.get("annotations"), 0
	for _, key := range slices.Sorted(maps.Keys(annotations.fields())) {
		at := annotations.get(key)
		c.key("annotation", at, strings.ToLower(key))
		size += len(key) + len(at.text())
	}
	if size > maxAnnotations {
		c.add("annotation", annotations, "move large values into a ConfigMap", "annotations have %d bytes, the limit is %d", size, maxAnnotations)
	}
}

// selector checks a label selector: its labels and its expressions.
func (c *check) selector(rule string, v value) {
	c.labels(rule, v.get("matchLabels"))
	for _, e := range v.get("matchExpressions").items() {
		if key := e.get("key"); key.text() != "" {
			c.key(rule, key, key.text())
		}
		operator, values := e.get("operator"), e.get("values")
		c.oneOf(rule, operator, "In", "NotIn", "Exists", "DoesNotExist")
		switch operator.text() {
		case "In", "NotIn":
			if len(values.items()) == 0 {
				c.add(rule, values, "list the values", "operator %s needs values", operator.text())
			}
		case "Exists", "DoesNotExist":
			if len(values.items()) > 0 {
				c.add(rule, values, "remove the values", "operator %s takes no values", operator.text())
			}
		}
	}
}

// selects says whether a label selector matches labels.
func selects(selector value, labels map[string]string) bool {
	if !includes(selector.get("matchLabels").strings(), labels) {
		return false
	}
	for _, e := range selector.get("matchExpressions").items() {
		label, has := labels[e.get("key").text()]
		listed := slices.ContainsFunc(e.get("values").items(), func(v value) bool { return has && v.text() == label })
		matches := map[string]bool{"In": listed, "NotIn": !listed, "Exists": has, "DoesNotExist": !has}
		if !matches[e.get("operator").text()] {
			return false
		}
	}
	return true
}

func includes(wanted, labels map[string]string) bool {
	for key, want := range wanted {
		if have, ok := labels[key]; !ok || have != want {
			return false
		}
	}
	return true
}
