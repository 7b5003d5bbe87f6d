package steps

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/yamledit"
)

const (
	valuesDescription = "--set writes one VALUE into any YAML or JSON file. PATH is made of keys and dots, [0] for an item of a list and\n" +
		"[name=app] for the one item with that value, as in spec.template.spec.containers[name=app].image; a key with dots stands\n" +
		"in double quotes. Where a file has several documents, PATH must be in one of them only, or CONDITIONS name it, as in\n" +
		"all.yaml#kind=Deployment,name=app:spec.replicas=3 (apiVersion, kind, namespace and name). Text stays text and is\n" +
		"quoted where it needs to be; in the place of a number only a number is written, of an integer an integer, of a boolean\n" +
		"true or false. A new key (--create) and one without a value get text."
	settingForms = "write FILE:PATH=VALUE, such as values.yaml:image.tag=1.2.3, or " +
		"deploy.yaml#kind=Deployment,name=app:spec.template.spec.containers[name=app].image=app:1"
)

// ValueChange is a value that was set, at the path that was asked for; Old is empty for one that was added, and Document
// where the file has only one.
type ValueChange struct {
	File     string `json:"file"`
	Document string `json:"document,omitempty"`
	Path     string `json:"path"`
	Old      string `json:"old"`
	New      string `json:"new"`
}

// setting is one parsed --set argument.
type setting struct {
	path     string // of the file, as given
	document yamledit.Conditions
	query    yamledit.Query
	place    string // the query as it was written
	value    string

	file *kustomization.File // at path, once it is open
}

var (
	filePart = regexp.MustCompile(`^[^#:]+`)
	// documentKeys are the fields by which people know an object.
	documentKeys = map[string]yamledit.Path{
		"apiVersion": {"apiVersion"},
		"kind":       {"kind"},
		"namespace":  {"metadata", "namespace"},
		"name":       {"metadata", "name"},
	}
)

func parseSetting(arg string) (setting, error) {
	v, err := splitSetting(arg)
	switch {
	case err != nil:
		return setting{}, failure.New(failure.Usage, settingForms, "set %q: %w", arg, err)
	case strings.Contains(arg, "$"):
		return setting{}, failure.New(failure.Usage, "use double quotes around the argument and check that the variable is set",
			"set %q: a variable was not expanded", arg)
	case v.value == "":
		return setting{}, failure.New(failure.Usage, "check that the variable with the value is set", "set %q: empty value", arg)
	}
	return v, nil
}

func splitSetting(arg string) (v setting, err error) {
	if !utf8.ValidString(arg) {
		return setting{}, fmt.Errorf("invalid UTF-8")
	}
	v.path = filePart.FindString(arg)
	rest := arg[len(v.path):]
	if conditions, found := strings.CutPrefix(rest, "#"); found {
		if v.document, rest, err = parseDocument(conditions); err != nil {
			return setting{}, err
		}
	}
	query, found := strings.CutPrefix(rest, ":")
	if !found || v.path == "" {
		return setting{}, fmt.Errorf("no FILE and PATH with a colon between them")
	}
	if v.query, rest, err = yamledit.ParseQuery(query); err != nil {
		return setting{}, err
	}
	v.place = query[:len(query)-len(rest)]
	if v.value, found = strings.CutPrefix(rest, "="); !found {
		return setting{}, fmt.Errorf("path %q is not followed by = and a value", v.place)
	}
	return v, nil
}

func parseDocument(text string) (yamledit.Conditions, string, error) {
	conditions, rest, err := yamledit.ParseConditions(text)
	if err != nil {
		return nil, "", err
	}
	for i, c := range conditions {
		key := c.Path.String()
		if conditions[i].Path = documentKeys[key]; conditions[i].Path == nil {
			return nil, "", fmt.Errorf("a document is named by apiVersion, kind, namespace and name, not by %s", key)
		}
	}
	return conditions, rest, nil
}

// setValues changes values of one file. When all are as asked already, out is data and there are no changes.
func setValues(data []byte, settings []setting, create bool) (out []byte, changes []ValueChange, err error) {
	all, err := yamledit.ParseAll(data)
	if err != nil {
		return nil, nil, err
	}
	out = data
	for _, v := range settings {
		c, err := v.apply(all, create)
		if err != nil {
			return nil, nil, fmt.Errorf("path %s: %w", v.place, err)
		}
		if edited := all[0].Bytes(); !bytes.Equal(out, edited) {
			out, changes = edited, append(changes, c)
		}
	}
	return out, changes, nil
}

func (v setting) apply(all []*yamledit.Document, create bool) (c ValueChange, err error) {
	at, missing, err := v.locate(all, create)
	if err != nil {
		return ValueChange{}, err
	}
	c = ValueChange{File: v.file.Path, Path: v.place, New: v.value}
	if len(all) > 1 {
		c.Document = title(at.document)
	}
	if len(missing) > 0 {
		return c, at.document.Create(at.path.With(missing...), v.value)
	}
	c.Old = at.document.Look(at.path).Text
	return c, at.document.Assign(at.path, v.value)
}

// locate returns the only place that the query leads to. If there is none and create is set, it is the only place that the
// query leads to without the missing keys at its end.
func (v setting) locate(all []*yamledit.Document, create bool) (at location, missing []any, err error) {
	var documents []*yamledit.Document
	for _, d := range all {
		if d.Holds(v.document) {
			documents = append(documents, d)
		}
	}
	if len(documents) == 0 {
		return at, nil, failure.New(failure.Invalid, "name one of its documents", "no document is as described; the file has %s", titles(all))
	}
	for i := len(v.query); i >= 0; i-- {
		switch found := find(documents, v.query[:i]); {
		case len(found) == 1:
			return found[0], v.query[i:], nil
		case len(found) > 1:
			return at, nil, ambiguous(found)
		case !create:
			return at, nil, failure.New(failure.Invalid, "correct the path, with quotes around a key with dots in it, or pass --create to add a key",
				"not found in %s", titles(documents))
		}
		if _, isKey := v.query[i-1].(string); !isKey {
			break
		}
	}
	return at, nil, failure.New(failure.Invalid, "correct the path; items of lists are not created", "not found in %s", titles(documents))
}

// location is a place in a file.
type location struct {
	document *yamledit.Document
	path     yamledit.Path
}

func find(documents []*yamledit.Document, q yamledit.Query) (found []location) {
	for _, d := range documents {
		for _, p := range d.Match(q) {
			found = append(found, location{d, p})
		}
	}
	return found
}

func ambiguous(found []location) error {
	var places []string
	for _, at := range found {
		places = append(places, fmt.Sprintf("line %d in %s", at.document.Look(at.path).Line, title(at.document)))
	}
	return failure.New(failure.Invalid, "name one document or item, as in FILE#kind=Deployment,name=app:PATH or containers[name=app]",
		"%d places: %s", len(found), shorten(places))
}

func titles(documents []*yamledit.Document) string {
	var all []string
	for _, d := range documents {
		all = append(all, title(d))
	}
	return shorten(all)
}

// title names a document as people do, or by its line.
func title(d *yamledit.Document) string {
	kind, name := d.Look(documentKeys["kind"]).Text, d.Look(documentKeys["name"]).Text
	if kind == "" || name == "" {
		return fmt.Sprintf("the document at line %d", d.Look(nil).Line)
	}
	return kind + " " + name
}

func shorten(texts []string) string {
	const most = 5
	if len(texts) > most {
		texts = append(texts[:most:most], fmt.Sprintf("%d more", len(texts)-most))
	}
	return strings.Join(texts, ", ")
}
