package yamledit

import (
	"regexp"
	"strconv"
	"strings"

	"slipway/steps/internal/failure"
)

// Query is a path as people write it. Its parts are a string for a key, an int for an item of a list, and Conditions for
// the items of a list that fulfil them.
type Query []any

// Condition holds where the scalar at a path has a value.
type Condition struct {
	Path  Path
	Value string
}

// Conditions hold where each of them does.
type Conditions []Condition

const (
	quotedShape = `"([^"]+)"|'([^']+)'`
	keyShape    = quotedShape + `|([^][.=,"'\s]+)`
	queryForms  = `write keys and dots, ["] around a key with dots in it, [0] for an item of a list, ` +
		`[name=app] for the item with that value, as in spec.containers[name=app].image`
)

var (
	keyToken   = regexp.MustCompile(`^(?:` + keyShape + `)`)
	indexToken = regexp.MustCompile(`^\[([0-9]{1,6})\]`)
	// valueToken ends an unquoted value where the list of conditions may end: at ] of an item, at : of a document.
	valueToken = regexp.MustCompile(`^(?:` + quotedShape + `|([^],:"'\s]+))`)
)

// ParseQuery reads a query off the beginning of text and returns what follows it. Keys are joined by dots; one with a dot,
// a bracket or = in it stands in quotes. Errors are of kind Usage.
func ParseQuery(text string) (q Query, rest string, err error) {
	rest = text
	for len(q) == 0 || strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "[") {
		var part any
		switch index := indexToken.FindStringSubmatch(rest); {
		case index != nil:
			part, err = strconv.Atoi(index[1])
			rest = rest[len(index[0]):]
		case strings.HasPrefix(rest, "["):
			part, rest, err = parseItem(rest[1:])
		default:
			if len(q) > 0 {
				rest = rest[1:]
			}
			part, rest, err = token(keyToken, rest)
		}
		if err != nil {
			return nil, "", failure.New(failure.Usage, queryForms, "path %q: %w", text, err)
		}
		q = append(q, part)
	}
	return q, rest, nil
}

func parseItem(text string) (c Conditions, rest string, err error) {
	if c, rest, err = ParseConditions(text); err != nil {
		return nil, "", err
	}
	rest, closed := strings.CutPrefix(rest, "]")
	if !closed {
		return nil, "", unreadable("]", rest)
	}
	return c, rest, nil
}

// ParseConditions reads KEY=VALUE[,KEY=VALUE...] off the beginning of text and returns what follows it. Errors are of kind
// Usage.
func ParseConditions(text string) (all Conditions, rest string, err error) {
	for rest = text; ; rest = rest[1:] {
		var key, value string
		if key, rest, err = token(keyToken, rest); err != nil {
			return nil, "", err
		}
		after, found := strings.CutPrefix(rest, "=")
		if !found {
			return nil, "", unreadable("= and a value", rest)
		}
		if value, rest, err = token(valueToken, after); err != nil {
			return nil, "", err
		}
		all = append(all, Condition{Path: Path{key}, Value: value})
		if !strings.HasPrefix(rest, ",") {
			return all, rest, nil
		}
	}
}

func token(shape *regexp.Regexp, text string) (value, rest string, err error) {
	m := shape.FindStringSubmatch(text)
	if m == nil {
		return "", "", unreadable("a word", text)
	}
	return m[1] + m[2] + m[3], text[len(m[0]):], nil
}

func unreadable(want, rest string) error {
	return failure.New(failure.Usage, queryForms, "expected %s at %q", want, rest)
}

// Match returns the paths of all values that a query leads to.
func (d *Document) Match(q Query) []Path {
	found := []Path{{}}
	for _, part := range q {
		var next []Path
		for _, p := range found {
			next = append(next, d.below(p, part)...)
		}
		found = next
	}
	return found
}

func (d *Document) below(p Path, part any) (found []Path) {
	c, isCondition := part.(Conditions)
	if !isCondition {
		if p = p.With(part); d.Look(p).Kind != Missing {
			found = append(found, p)
		}
		return found
	}
	for i := range d.Look(p).Len {
		if item := p.With(i); d.holds(item, c) {
			found = append(found, item)
		}
	}
	return found
}

// Holds reports whether a document fulfils all conditions.
func (d *Document) Holds(c Conditions) bool { return d.holds(nil, c) }

func (d *Document) holds(p Path, all Conditions) bool {
	for _, c := range all {
		if v := d.Look(p.With(c.Path...)); v.Kind != Scalar || v.Text != c.Value {
			return false
		}
	}
	return true
}
