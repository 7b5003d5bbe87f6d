package manifest

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ChangeKind says what becomes of an object.
type ChangeKind string

// What may become of an object.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// ObjectChange is one object that differs between two builds. Nothing in it holds a value of a Secret.
type ObjectChange struct {
	Kind ChangeKind
	// Object is the ID of the object, and Was the one it had if its name ends in another hash now.
	Object, Was string
	// Images are the fields that name an image, of added and removed objects too; Fields are all others of a changed one, except
	// for the name that Was tells.
	Images []ImageChange
	Fields []FieldChange
	// Before and After are the YAML of a changed object, with sorted keys.
	Before, After []byte
}

// Pair is one object in two builds; Before is nil for an object that is new, After for one that is gone.
type Pair struct{ Before, After *Object }

// generated is the hash at the end of the name of a ConfigMap or Secret that a generator made.
var generated = regexp.MustCompile(`-[2456789bcdfghkmt]{10}$`)

// Match returns the objects of two builds, each with what it was before: those of after in its order, then those that are
// gone. They are known by API group, kind, namespace and name, else by all but the group, else by a generated name without
// its hash.
func Match(before, after *Result) []Pair {
	pairs := make([]Pair, len(after.Objects))
	gone := make([]*Object, len(before.Objects))
	for i := range before.Objects {
		gone[i] = &before.Objects[i]
	}
	for i := range after.Objects {
		pairs[i].After = &after.Objects[i]
	}
	for _, key := range []func(*Object) string{
		(*Object).typed,
		(*Object).ID,
		(*Object).generator,
	} {
		open := map[string][]int{}
		for i, o := range gone {
			if o != nil && key(o) != "" {
				open[key(o)] = append(open[key(o)], i)
			}
		}
		for i, p := range pairs {
			if same := open[key(p.After)]; p.Before == nil && len(same) > 0 {
				pairs[i].Before, gone[same[0]] = gone[same[0]], nil
				open[key(p.After)] = same[1:]
			}
		}
	}
	for _, o := range gone {
		if o != nil {
			pairs = append(pairs, Pair{Before: o})
		}
	}
	return pairs
}

// typed names an object as the API server does.
func (o *Object) typed() string {
	group, _, ok := strings.Cut(o.APIVersion, "/")
	if !ok {
		group = ""
	}
	return group + " " + o.ID()
}

// generator names what a generated object is made by, "" for any other object.
func (o *Object) generator() string {
	if o.Kind != "ConfigMap" && o.Kind != "Secret" || !generated.MatchString(o.Name) {
		return ""
	}
	return generated.ReplaceAllString(o.ID(), "")
}

// DiffObjects returns the objects that differ between two builds, in the order of Match.
func DiffObjects(before, after *Result) ([]ObjectChange, error) {
	var changes []ObjectChange
	for _, p := range Match(before, after) {
		c := ObjectChange{Images: DiffImages(p.results())}
		switch {
		case p.Before == nil:
			c.Kind, c.Object = Added, p.After.ID()
		case p.After == nil:
			c.Kind, c.Object = Removed, p.Before.ID()
		case reflect.DeepEqual(p.Before.Data, p.After.Data):
			continue
		default:
			c.Kind, c.Object = Changed, p.After.ID()
			if was := p.Before.ID(); was != c.Object {
				c.Was = was
			}
			if err := c.compare(p); err != nil {
				return nil, err
			}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// results makes a build of each side.
func (p Pair) results() (before, after *Result) {
	before, after = &Result{}, &Result{}
	if p.Before != nil {
		before.Objects = []Object{*p.Before}
	}
	if p.After != nil {
		after.Objects = []Object{*p.After}
	}
	return before, after
}

func (c *ObjectChange) compare(p Pair) (err error) {
	before, after := p.Before.Data, p.After.Data
	if p.Before.Kind == "Secret" {
		before, after = masked(before, after)
	}
	images := map[string]bool{}
	for _, i := range c.Images {
		images[i.Path] = true
	}
	diffFields("", before, after, func(f FieldChange) {
		if !images[f.Path] && !(c.Was != "" && f.Path == "metadata.name") {
			c.Fields = append(c.Fields, f)
		}
	})
	if c.Before, err = encode(before); err == nil {
		c.After, err = encode(after)
	}
	return err
}

func encode(data map[string]any) ([]byte, error) {
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := e.Encode(data); err != nil {
		return nil, err
	}
	return text.Bytes(), e.Close()
}
