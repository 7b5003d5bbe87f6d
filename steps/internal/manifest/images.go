package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ImageField is one place of an object that names an image. Path is written like spec.containers[name=app].image; an
// item of a list has its index where names do not tell the items apart.
type ImageField struct{ Object, Path, Image string }

// ImageChange is one image field that differs between two builds; Old is empty for a new field, New for one that is gone.
type ImageChange struct{ Object, Path, Old, New string }

var (
	reference = regexp.MustCompile(`^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+:[0-9a-f]{32,})?$`)
	// What kustomize and the kubelet call a list of containers, wherever it stands.
	containerLists = []string{"containers", "initContainers", "ephemeralContainers"}
)

// Images returns every field of the objects that names an image: those of containers, of init and ephemeral containers and
// of image volumes, and in custom resources the fields named image or ...Image whose value looks like an image reference.
// They come in the order of the objects and of their keys' names.
func Images(objects []Object) []ImageField {
	var found []ImageField
	for _, o := range objects {
		if o.Kind == "ConfigMap" || o.Kind == "Secret" || o.Kind == "CustomResourceDefinition" {
			continue // their keys are the user's own or a schema's
		}
		visitImages(o.Data, "", "", func(path, image string) {
			found = append(found, ImageField{o.ID(), path, image})
		})
	}
	return found
}

func visitImages(value any, path, list string, found func(path, image string)) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			at := strings.TrimPrefix(path+"."+key, ".")
			if text, ok := v[key].(string); ok && isImage(list, path, key, text) {
				found(at, text)
			}
			if path != "metadata" {
				visitImages(v[key], at, key, found)
			}
		}
	case []any:
		named := distinctNames(v)
		for i, item := range v {
			at := fmt.Sprintf("%s[%d]", path, i)
			if named {
				at = fmt.Sprintf("%s[name=%s]", path, item.(map[string]any)["name"])
			}
			visitImages(item, at, list, found)
		}
	}
}

func isImage(list, path, key, text string) bool {
	switch {
	case text == "":
		return false
	case key == "image" && slices.Contains(containerLists, list) && strings.HasSuffix(path, "]"):
		return true
	case key == "image", key == "reference" && list == "image":
		return reference.MatchString(text)
	}
	return strings.HasSuffix(key, "Image") && strings.ContainsAny(text, "/:@") && reference.MatchString(text)
}

func distinctNames(items []any) bool {
	seen := map[string]bool{}
	for _, item := range items {
		m, _ := item.(map[string]any)
		name, _ := m["name"].(string)
		if name == "" || seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}

// DiffImages returns the image fields that differ between two builds: those of after in its order, then those that are gone.
func DiffImages(before, after *Result) []ImageChange {
	type place struct {
		object, path string
		nth          int // objects of two API groups may share an ID
	}
	index := func(r *Result) (order []place, image map[place]string) {
		image = map[place]string{}
		for _, f := range Images(r.Objects) {
			at := place{f.Object, f.Path, 0}
			for ; image[at] != ""; at.nth++ {
			}
			order, image[at] = append(order, at), f.Image
		}
		return order, image
	}
	oldOrder, old := index(before)
	newOrder, now := index(after)
	var changes []ImageChange
	for _, at := range newOrder {
		if old[at] != now[at] {
			changes = append(changes, ImageChange{at.object, at.path, old[at], now[at]})
		}
	}
	for _, at := range oldOrder {
		if now[at] == "" {
			changes = append(changes, ImageChange{at.object, at.path, old[at], ""})
		}
	}
	return changes
}
