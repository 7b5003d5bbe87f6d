package manifest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// FieldChange is one value that differs between two builds of an object; Old is nil for a field that is new, New for one
// that is gone. Path is written like that of an ImageField, with keys that contain dots in quotes.
type FieldChange struct {
	Path     string
	Old, New any
}

// diffFields finds the smallest values that differ. Items of lists are the same if they have the same name, or else the same
// place.
func diffFields(path string, before, after any, found func(FieldChange)) {
	switch old := before.(type) {
	case map[string]any:
		if now, ok := after.(map[string]any); ok {
			diffMaps(path, old, now, found)
			return
		}
	case []any:
		if now, ok := after.([]any); ok {
			diffLists(path, old, now, found)
			return
		}
	}
	if !reflect.DeepEqual(before, after) {
		found(FieldChange{path, before, after})
	}
}

func diffMaps(path string, old, now map[string]any, found func(FieldChange)) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(old)), maps.Keys(now))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		at := key
		if strings.ContainsAny(key, ".[] ") {
			at = fmt.Sprintf("%q", key)
		}
		diffFields(strings.TrimPrefix(path+"."+at, "."), old[key], now[key], found)
	}
}

func diffLists(path string, old, now []any, found func(FieldChange)) {
	if distinctNames(old) && distinctNames(now) {
		before, after := byName(old), byName(now)
		names := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			diffFields(fmt.Sprintf("%s[name=%s]", path, name), before[name], after[name], found)
		}
		return
	}
	for i := range max(len(old), len(now)) {
		var before, after any
		if i < len(old) {
			before = old[i]
		}
		if i < len(now) {
			after = now[i]
		}
		diffFields(fmt.Sprintf("%s[%d]", path, i), before, after, found)
	}
}

func byName(items []any) map[string]any {
	all := map[string]any{}
	for _, item := range items {
		all[item.(map[string]any)["name"].(string)] = item
	}
	return all
}
