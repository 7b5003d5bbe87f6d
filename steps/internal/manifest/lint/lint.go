// Package lint knows what an API server or a kubelet refuses although the schema of the object allows it: names, label
// values, quantities, ports, image references, selectors that miss their own template, mounts without a volume, schedules
// that never parse, and the constants of KubeSphere's pipelines that its CRD leaves open.
//
// It looks at objects as they were decoded and takes their shape for granted: a value of the wrong type is the schema's
// finding, and is passed over here.
package lint

import (
	"fmt"
	"strings"

	//nolint:depguard // the leaf that schema and lint share, so that they name a place the same way
	"slipway/steps/internal/manifest/schema/fieldpath"
)

// Finding is one reason for which an object would be refused or could not run. Path is where (spec.ports[0].port), Fix what
// to do about it, and Object the position of the object among those that were given.
type Finding struct {
	Rule    string
	Path    string
	Message string
	Fix     string
	Object  int
}

// check collects the findings of one object.
type check struct {
	value
	group    string
	kind     string
	findings []Finding
}

func newCheck(object map[string]any) *check {
	root := value{v: object}
	group, _, ok := strings.Cut(root.get("apiVersion").text(), "/")
	if !ok {
		group = ""
	}
	return &check{value: root, group: group, kind: root.get("kind").text()}
}

func (c *check) add(rule string, at value, fix, format string, args ...any) {
	c.findings = append(c.findings, Finding{Rule: rule, Path: at.at.String(), Message: fmt.Sprintf(format, args...), Fix: fix})
}

// rules is what is checked of a kind beyond its metadata, by group/kind.
var rules = map[string]func(*check){
	"/Pod":                   func(c *check) { c.pod(c.value, podContext{kind: "Pod", policies: allPolicies}) },
	"/PodTemplate":           func(c *check) { c.pod(c.get("template"), podContext{policies: allPolicies}) },
	"/ReplicationController": (*check).replicationController,
	"/Service":               (*check).service,
	"/ConfigMap":             (*check).configMap,
	"/Secret":                (*check).secret,
	"/PersistentVolumeClaim": func(c *check) { c.claim(c.get("spec")) },

	"apps/Deployment":  (*check).deployment,
	"apps/ReplicaSet":  (*check).workload,
	"apps/DaemonSet":   (*check).daemonSet,
	"apps/StatefulSet": (*check).statefulSet,
	"batch/Job":        func(c *check) { c.job(c.get("spec")) },
	"batch/CronJob":    (*check).cronJob,

	"networking.k8s.io/Ingress":           (*check).ingress,
	"networking.k8s.io/NetworkPolicy":     (*check).networkPolicy,
	"autoscaling/HorizontalPodAutoscaler": (*check).autoscaler,
	"policy/PodDisruptionBudget":          (*check).disruptionBudget,

	"rbac.authorization.k8s.io/Role":               func(c *check) { c.policyRules(false) },
	"rbac.authorization.k8s.io/ClusterRole":        func(c *check) { c.policyRules(true) },
	"rbac.authorization.k8s.io/RoleBinding":        func(c *check) { c.binding("Role", "ClusterRole") },
	"rbac.authorization.k8s.io/ClusterRoleBinding": func(c *check) { c.binding("ClusterRole") },

	"devops.kubesphere.io/Pipeline": (*check).pipeline,
}

// Check returns what is wrong with one object.
func Check(object map[string]any) []Finding {
	c := newCheck(object)
	c.metadata()
	if rule, ok := rules[c.group+"/"+c.kind]; ok {
		rule(c)
	}
	return c.findings
}

// CheckAll returns what is wrong with each of the objects, and between them: two objects of one name, and references from
// one to another that cannot be followed. A reference to an object that is not among them is nobody's finding.
func CheckAll(objects []map[string]any) []Finding {
	var findings []Finding
	for i, object := range objects {
		for _, finding := range Check(object) {
			finding.Object = i
			findings = append(findings, finding)
		}
	}
	return append(findings, crossCheck(objects)...)
}

// value is a place in an object and what is there; a missing value is nil at the place where it would be.
type value struct {
	at *fieldpath.Path
	v  any
}

func (v value) get(keys ...string) value {
	for _, key := range keys {
		fields, _ := v.v.(map[string]any)
		v = value{v.at.Key(key), fields[key]}
	}
	return v
}

func (v value) exists() bool { return v.v != nil }

func (v value) fields() map[string]any {
	fields, _ := v.v.(map[string]any)
	return fields
}

func (v value) items() []value {
	list, _ := v.v.([]any)
	values := make([]value, len(list))
	for i, item := range list {
		values[i] = value{v.at.Index(i), item}
	}
	return values
}

// text returns the string at v, or "".
func (v value) text() string {
	s, _ := v.v.(string)
	return s
}

// or returns the string at v, or the default that the server fills in.
func (v value) or(otherwise string) string {
	if s := v.text(); s != "" {
		return s
	}
	return otherwise
}

// strings returns the fields of a map of strings such as labels.
func (v value) strings() map[string]string {
	result := map[string]string{}
	for key, item := range v.fields() {
		if s, ok := item.(string); ok {
			result[key] = s
		}
	}
	return result
}

// integer returns the whole number at v, whichever type a decoder gave it.
func (v value) integer() (int64, bool) {
	switch n := v.v.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case uint64:
		return int64(n), true
	case float64:
		return int64(n), n == float64(int64(n))
	default:
		return 0, false
	}
}

// path returns v's place as a hint for another finding's text.
func (v value) path() string { return v.at.String() }
