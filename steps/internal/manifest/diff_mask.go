package manifest

import (
	"maps"
	"reflect"
)

// What stands for a value of a Secret. Not even a hash is shown, from which a short value could be guessed.
const (
	hidden       = "***"
	hiddenBefore = "*** (before)"
	hiddenAfter  = "*** (after)"
)

// lastApplied is an annotation in which kubectl keeps the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// masked returns two versions of a Secret that show which values differ and none of them.
func masked(before, after map[string]any) (old, now map[string]any) {
	old, now = withoutLastApplied(before), withoutLastApplied(after)
	for _, field := range []string{"data", "stringData"} {
		a, b := hide(old[field], now[field])
		show(old, field, a)
		show(now, field, b)
	}
	return old, now
}

func withoutLastApplied(object map[string]any) map[string]any {
	object = maps.Clone(object)
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if _, ok := annotations[lastApplied]; ok {
		metadata, annotations = maps.Clone(metadata), maps.Clone(annotations)
		delete(annotations, lastApplied)
		object["metadata"], metadata["annotations"] = metadata, annotations
	}
	return object
}

// hide returns what to show of two values: the keys of maps, and whether anything else differs. What is nil is shown.
func hide(old, now any) (any, any) {
	a, wasMap := old.(map[string]any)
	b, isMap := now.(map[string]any)
	switch {
	case old == nil && now == nil:
		return nil, nil
	case (wasMap || old == nil) && (isMap || now == nil):
		x, y := maps.Clone(a), maps.Clone(b)
		for key := range a {
			x[key], _ = hide(a[key], b[key])
		}
		for key := range b {
			_, y[key] = hide(a[key], b[key])
		}
		return x, y
	case old == nil:
		return nil, hidden
	case now == nil:
		return hidden, nil
	case reflect.DeepEqual(old, now):
		return hidden, hidden
	}
	return hiddenBefore, hiddenAfter
}

// show sets a field unless there is none.
func show(object map[string]any, field string, value any) {
	if _, ok := object[field]; ok {
		object[field] = value
	}
}
