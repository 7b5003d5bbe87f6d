package fieldpath

import (
	"regexp"
	"strconv"
)

// part is one step of a path, as String writes it: a key in brackets, an index, a key behind a dot or at the beginning.
var part = regexp.MustCompile(`^(?:\[("(?:[^"\\]|\\.)*")\]|\[(\d+)\]|\.?([A-Za-z0-9_$-]+))`)

// Parse returns the steps of a path that String wrote: a string for a key, an int for an item of a list. It is false for any
// other text.
func Parse(text string) (steps []any, ok bool) {
	for text != "" {
		m := part.FindStringSubmatch(text)
		if m == nil {
			return nil, false
		}
		key, errKey := strconv.Unquote(m[1])
		index, errIndex := strconv.Atoi(m[2])
		switch {
		case m[3] != "":
			steps = append(steps, m[3])
		case errKey == nil:
			steps = append(steps, key)
		case errIndex == nil:
			steps = append(steps, index)
		default:
			return nil, false
		}
		text = text[len(m[0]):]
	}
	return steps, true
}
