package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	//nolint:depguard // the leaf that schema and lint share, so that they name a place the same way
	"slipway/steps/internal/manifest/schema/fieldpath"
)

// walk compares one object with its schema.
type walk struct {
	set      *Set
	problems []Problem
	// lenient asks for no required fields: below status, which the server drops before it looks.
	lenient bool
}

func (w *walk) report(at *fieldpath.Path, fix, format string, args ...any) {
	w.problems = append(w.problems, Problem{Path: at.String(), Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (w *walk) value(at *fieldpath.Path, n *node, v any) {
	n = w.set.resolve(n)
	if n == nil {
		return
	}
	if w.typed(at, n, v) {
		w.bounds(at, n, v)
		w.branches(at, n, v)
	}
}

// typed checks v against the type of n, its contents included, and returns whether the type is right.
func (w *walk) typed(at *fieldpath.Path, n *node, v any) bool {
	right := true
	switch n.Type {
	case "object":
		fields, ok := v.(map[string]any)
		if right = ok; ok {
			w.object(at, n, fields)
		}
	case "array":
		items, ok := v.([]any)
		if right = ok; ok && n.Items != nil {
			for i, item := range items {
				w.value(at.Index(i), n.Items, item)
			}
		}
	case "string":
		_, right = v.(string)
	case "boolean":
		_, right = v.(bool)
	case "integer":
		right = isInteger(v)
	case "number":
		_, right = number(v)
	case "int-or-string":
		_, isString := v.(string)
		right = isString || isInteger(v)
	case "quantity":
		return w.quantity(at, v)
	case "":
		if fields, ok := v.(map[string]any); ok && !n.accepts() {
			w.object(at, n, fields)
		}
	}
	if !right {
		w.report(at, typeFix(n.Type, v), "must be %s, found %s", article(n.Type), describe(v))
	}
	return right
}

// accepts says that a node without a type has nothing to say about fields either.
func (n *node) accepts() bool { return n.Fields == nil && n.Required == nil && n.Values == nil }

func (w *walk) object(at *fieldpath.Path, n *node, fields map[string]any) {
	for _, name := range n.Required {
		if fields[name] == nil && !w.lenient {
			w.report(at.Key(name), "add it", "required field is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		v := fields[name]
		child, known := n.Fields[name]
		switch {
		case known:
		case n.Values != nil:
			child = n.Values
		case n.Open:
			continue
		default:
			w.report(at.Key(name), w.unknownFix(n, name, v), "unknown field %q", name)
			continue
		}
		if v == nil { // the API server takes null for a field that is not there
			continue
		}
		outer := w.lenient
		w.lenient = outer || at == nil && name == "status"
		w.value(at.Key(name), child, v)
		w.lenient = outer
	}
}

func (w *walk) unknownFix(n *node, name string, v any) string {
	names := slices.Sorted(maps.Keys(n.Fields))
	if likely := nearest(name, names); likely != "" {
		return "did you mean " + likely + "?"
	}
	// A field one level too high is the commonest mistake of indentation.
	for _, parent := range names {
		child := w.set.resolve(n.Fields[parent])
		if child != nil && child.Fields[name] != nil && v != nil {
			return "move it into " + parent
		}
	}
	if len(names) == 0 {
		return "remove it: no fields are known here"
	}
	const enough = 12
	if len(names) > enough {
		return "remove it, or move it to where it belongs"
	}
	return "remove it; known here: " + strings.Join(names, ", ")
}

func (w *walk) bounds(at *fieldpath.Path, n *node, v any) {
	if len(n.Enum) > 0 && !slices.ContainsFunc(n.Enum, func(allowed any) bool { return equal(allowed, v) }) {
		w.report(at, "use one of "+list(n.Enum), "must be one of %s, found %s", list(n.Enum), show(v))
	}
	switch v := v.(type) {
	case string:
		w.text(at, n, v)
		w.length(at, "characters", utf8.RuneCountInString(v), n.MinLength, n.MaxLength)
	case []any:
		w.length(at, "items", len(v), n.MinItems, n.MaxItems)
	default:
		if f, ok := number(v); ok {
			w.size(at, n, f)
		}
	}
}

func (w *walk) size(at *fieldpath.Path, n *node, f float64) {
	low, high := n.Minimum, n.Maximum
	if n.Format == "int32" || n.Type == "int-or-string" {
		smallest, largest := float64(math.MinInt32), float64(math.MaxInt32)
		if low == nil {
			low = &smallest
		}
		if high == nil {
			high = &largest
		}
	}
	if low != nil && f < *low {
		w.report(at, "raise it", "must be at least %s, found %s", show(*low), show(f))
	}
	if high != nil && f > *high {
		w.report(at, "lower it", "must be at most %s, found %s", show(*high), show(f))
	}
}

func (w *walk) length(at *fieldpath.Path, unit string, length int, low, high *float64) {
	if low != nil && float64(length) < *low {
		w.report(at, "add what is missing", "must have at least %s %s, found %d", show(*low), unit, length)
	}
	if high != nil && float64(length) > *high {
		w.report(at, "shorten it", "must have at most %s %s, found %d", show(*high), unit, length)
	}
}

func (w *walk) text(at *fieldpath.Path, n *node, s string) {
	switch n.Format {
	case "date-time":
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			w.report(at, "write it like 2006-01-02T15:04:05Z", "must be a date and time, found %q", s)
		}
	case "byte":
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			w.report(at, "encode the value with base64, or use stringData where there is one", "must be base64")
		}
	}
	if n.Pattern == "" {
		return
	}
	if re := pattern(n.Pattern); re != nil && !re.MatchString(s) {
		w.report(at, "use a value of that form", "must match %s, found %q", n.Pattern, s)
	}
}

var patterns sync.Map

// pattern compiles an expression once; nil for one that is no RE2, which the API server does not accept either.
func pattern(expression string) *regexp.Regexp {
	if re, ok := patterns.Load(expression); ok {
		return re.(*regexp.Regexp)
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		re = nil
	}
	patterns.Store(expression, re)
	return re
}

// branches checks allOf, anyOf, oneOf and not, which CRDs use to ask for one of several fields.
func (w *walk) branches(at *fieldpath.Path, n *node, v any) {
	for _, branch := range n.All {
		w.value(at, branch, v)
	}
	if len(n.Any) > 0 && w.matches(n.Any, v) == 0 {
		w.report(at, "use one of the forms its definition allows"+requiredOf(n.Any), "has none of the allowed forms")
	}
	if len(n.One) > 0 {
		if matches := w.matches(n.One, v); matches != 1 {
			w.report(at, "use exactly one of the forms its definition allows"+requiredOf(n.One), "has %d of the allowed forms at once", matches)
		}
	}
	if n.Not != nil && w.matches([]*node{n.Not}, v) == 1 {
		w.report(at, "change what its definition forbids"+requiredOf([]*node{n.Not}), "has a form that is not allowed")
	}
}

func (w *walk) matches(branches []*node, v any) int {
	count := 0
	for _, branch := range branches {
		trial := walk{set: w.set, lenient: w.lenient}
		trial.value(nil, branch, v)
		if len(trial.problems) == 0 {
			count++
		}
	}
	return count
}

// requiredOf lists the fields that branches ask for, as a hint to what they want.
func requiredOf(branches []*node) string {
	var names []string
	for _, branch := range branches {
		names = append(names, branch.Required...)
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

const quantityForm = `^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$`

func (w *walk) quantity(at *fieldpath.Path, v any) bool {
	s, ok := v.(string)
	if !ok {
		if _, ok = number(v); ok {
			return true
		}
		w.report(at, "use a number with a suffix, such as 500m, 128Mi or 1Gi", "must be a quantity, found %s", describe(v))
		return false
	}
	if !pattern(quantityForm).MatchString(s) {
		w.report(at, "use a number with a suffix, such as 500m, 128Mi or 1Gi", "%q is no quantity", s)
	}
	return true
}

func isInteger(v any) bool {
	f, ok := number(v)
	return ok && f == math.Trunc(f)
}

// number returns the value of any of the types that decoders use for numbers.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	default:
		return 0, false
	}
}

func equal(a, b any) bool {
	x, isNumber := number(a)
	y, same := number(b)
	if isNumber && same {
		return x == y
	}
	return reflect.DeepEqual(a, b)
}

func article(kind string) string {
	switch kind {
	case "object":
		return "a mapping of fields"
	case "array":
		return "a list"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "int-or-string":
		return "a whole number or a string"
	default:
		return "a " + kind
	}
}

func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a mapping of fields"
	case []any:
		return "a list"
	case string:
		return "the string " + show(v)
	case bool:
		return show(v)
	default:
		return "the number " + show(v)
	}
}

func typeFix(want string, v any) string {
	switch v := v.(type) {
	case nil:
		return "give it a value, or remove it"
	case bool, int, int64, uint64, float64, json.Number:
		if want == "string" {
			return fmt.Sprintf("quote it: %q", show(v))
		}
	case string:
		if want == "integer" || want == "number" || want == "boolean" || want == "int-or-string" {
			return "remove the quotes, or replace it by " + article(want)
		}
	}
	switch want {
	case "array":
		return `write a list: each item on a line of its own that begins with "- "`
	case "object":
		return "write fields below it, each as key: value"
	default:
		return "replace it by " + article(want)
	}
}

// show writes a value short and on one line.
func show(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		const enough = 60
		if len(v) > enough {
			return strconv.Quote(v[:enough]) + "..."
		}
		return strconv.Quote(v)
	default:
		return fmt.Sprint(v)
	}
}

func list(values []any) string {
	shown := make([]string, len(values))
	for i, v := range values {
		shown[i] = show(v)
	}
	return strings.Join(shown, ", ")
}
