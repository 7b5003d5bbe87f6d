package lint

import (
	"reflect"
	"slices"
	"strings"
)

// frozen is the fields of a kind that cannot change once the object exists, as paths of keys.
var frozen = map[string][]string{
	"apps/Deployment": {"spec.selector"},
	"apps/ReplicaSet": {"spec.selector"},
	"apps/DaemonSet":  {"spec.selector"},
	"batch/Job":       {"spec.selector", "spec.template", "spec.completionMode", "spec.podFailurePolicy", "spec.backoffLimitPerIndex"},
	"/Service":        {"spec.clusterIP"},
	"/Secret":         {"type"},
	"/PersistentVolumeClaim": {
		"spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName", "spec.volumeMode", "spec.dataSource", "spec.dataSourceRef",
	},
	"storage.k8s.io/StorageClass":                  {"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"},
	"scheduling.k8s.io/PriorityClass":              {"value", "preemptionPolicy"},
	"networking.k8s.io/IngressClass":               {"spec.controller"},
	"rbac.authorization.k8s.io/RoleBinding":        {"roleRef"},
	"rbac.authorization.k8s.io/ClusterRoleBinding": {"roleRef"},
}

// mayChange is the fields of a StatefulSet's spec that may change; all others are frozen.
var mayChange = []string{
	"replicas", "ordinals", "template", "updateStrategy", "persistentVolumeClaimRetentionPolicy", "minReadySeconds", "revisionHistoryLimit",
}

// filledIn is the frozen fields that the server gives a value when an object says none.
var filledIn = []string{
	"spec.volumeName", "spec.storageClassName", "spec.volumeMode", "spec.completionMode",
	"preemptionPolicy", "reclaimPolicy", "volumeBindingMode", "type",
}

// Immutable returns what the API server would refuse of after as an update of before. Both are the same object, known by its
// kind, namespace and name; what it defaults is taken for unchanged when only one of them says it.
func Immutable(before, after map[string]any) []Finding {
	old, c := newCheck(before), newCheck(after)
	for _, path := range frozen[c.group+"/"+c.kind] {
		keys := strings.Split(path, ".")
		c.unchanged(old.get(keys...), c.get(keys...))
	}
	switch c.group + "/" + c.kind {
	case "apps/StatefulSet":
		c.statefulSetUnchanged(old)
	case "/PersistentVolumeClaim":
		c.notShrunk(old)
	case "/ConfigMap", "/Secret":
		c.sealed(old)
	}
	return c.findings
}

func (c *check) unchanged(old, now value) {
	if old.at.String() == "spec.clusterIP" && (old.text() == "" || now.text() == "") && old.text() != "None" && now.text() != "None" {
		return // the server chose, or keeps, the address
	}
	if slices.Contains(filledIn, now.at.String()) && (!old.exists() || !now.exists()) {
		return
	}
	if !same(old.v, now.v) {
		c.add("immutable", now, "restore the old value, or delete the object first", "cannot change once the object exists")
	}
}

func (c *check) statefulSetUnchanged(old *check) {
	before, now := old.get("spec"), c.get("spec")
	fields := append(sortedKeys(before), sortedKeys(now)...)
	slices.Sort(fields)
	for _, field := range slices.Compact(fields) {
		if field == "podManagementPolicy" && before.get(field).or("OrderedReady") == now.get(field).or("OrderedReady") {
			continue
		}
		if !slices.Contains(mayChange, field) {
			c.unchanged(before.get(field), now.get(field))
		}
	}
}

func (c *check) notShrunk(old *check) {
	keys := []string{"spec", "resources", "requests", "storage"}
	before, given := quantity(old.get(keys...))
	now, ok := quantity(c.get(keys...))
	if given && ok && now.Cmp(before) < 0 {
		c.add("immutable", c.get(keys...), "restore the old size", "storage cannot shrink from %s to %s", before.String(), now.String())
	}
}

// sealed checks ConfigMaps and Secrets that were made immutable.
func (c *check) sealed(old *check) {
	if old.get("immutable").v != true {
		return
	}
	for _, field := range []string{"data", "binaryData", "stringData", "immutable"} {
		if !same(old.get(field).v, c.get(field).v) {
			c.add("immutable", c.get(field), "give the object a new name, or delete it first", "cannot change: the object was made immutable")
		}
	}
}

// same compares two values as the server does: null and what is empty are nothing, and a number is a number whatever type it
// was decoded to.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		other, ok := b.(map[string]any)
		if !ok {
			return len(a) == 0 && b == nil
		}
		for key := range a {
			if !same(a[key], other[key]) {
				return false
			}
		}
		for key := range other {
			if _, ok := a[key]; !ok && !same(nil, other[key]) {
				return false
			}
		}
		return true
	case []any:
		other, _ := b.([]any)
		return slices.EqualFunc(a, other, same)
	case nil:
		return b == nil || same(b, map[string]any{}) || same(b, []any{})
	}
	x, isNumber := value{v: a}.integer()
	y, alsoNumber := value{v: b}.integer()
	return isNumber && alsoNumber && x == y || reflect.DeepEqual(a, b)
}
