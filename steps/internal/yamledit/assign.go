package yamledit

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
)

var (
	// Numbers whose text every reader keeps: what has more digits, an exponent or a zero at the end may be written differently
	// by the next program.
	integer  = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,14})$`)
	fraction = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,7})\.[0-9]{0,6}[1-9]$`)
)

// Assign makes the scalar at path the value and keeps its kind: a string stays a string, quoted where that is needed, and a
// null becomes one; a number becomes a number, an integer an integer, and a boolean true or false. A value that is not of
// the kind is refused, and so is a scalar that readers of YAML disagree on.
func (d *Document) Assign(path Path, value string) error {
	p, err := d.find(path)
	if err != nil {
		return err
	}
	if p == nil {
		return failure.New(failure.Invalid, "check the path", "there is no %s", path)
	}
	n := target(p.node)
	if n.Kind != yaml.ScalarNode || isNull(n) || isString(n, n.Value) {
		return d.Set(path, value)
	}
	kind, tag := "", n.ShortTag()
	fits := true
	switch tag {
	case "!!bool":
		kind, fits = "boolean", value == "true" || value == "false"
	case "!!int":
		kind, fits = "integer", integer.MatchString(value)
	case "!!float":
		kind, fits = "number", integer.MatchString(value) || fraction.MatchString(value)
		if integer.MatchString(value) {
			tag = "!!int"
		}
	}
	const hint = "put quotes around the value in the file if it is meant as text"
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return refuse(p.node.Line, "%s has the tag %s", path, n.ShortTag())
	case kind == "":
		return failure.New(failure.Invalid, hint, "line %d: %s is %s, which is a string to some YAML readers only", p.node.Line, path, n.Value)
	case !fits:
		return failure.New(failure.Invalid, hint, "line %d: %s is the %s %s, and %q cannot be written as one",
			p.node.Line, path, kind, n.Value, value)
	case n.Value == value:
		return nil
	}
	start, end, err := d.span(p.node)
	if err != nil {
		return err
	}
	return d.replace(start, end, value, change(d.tree(), path, func(any) any { return scalar{tag: tag, value: value} }))
}

// Create adds the keys that are missing at the end of path, one in the other, with a string as the value of the last.
func (d *Document) Create(path Path, value string) error {
	i := len(path) - 1
	for i > 0 && d.Look(path[:i]).Kind == Missing {
		i--
	}
	if _, err := d.find(path[:i+1]); err != nil {
		return err
	}
	keys := path[i+1:]
	want := change(d.tree(), path[:i+1], func(any) any { return nest(keys, value) })
	return d.addKey(path[:i+1], want, func(column int) (lines []string, flow string) {
		lines, flow = []string{""}, d.quote(value, 0, true)
		for j, key := range keys {
			lines = append(lines, strings.Repeat(" ", column+2*(j+1))+d.quote(key.(string), 0, true)+":")
			flow = "{" + d.quote(keys[len(keys)-1-j].(string), 0, true) + ": " + flow + "}"
		}
		if len(keys) > 0 {
			lines[len(keys)] += " "
		}
		lines[len(keys)] += d.quote(value, 0, false)
		return lines, flow
	})
}

// nest is the tree of what Create adds.
func nest(keys Path, value string) any {
	if len(keys) == 0 {
		return text(value)
	}
	return []pair{{key: text(keys[0].(string)), value: nest(keys[1:], value)}}
}
