// Package udiff shows people what an edit changes.
package udiff

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

const absent = "/dev/null"

// Unified returns the difference between two versions of a file in the unified format that patch and git apply read, or ""
// if there is none. Nil stands for a file that does not exist.
func Unified(path string, before, after []byte) string {
	from, to := "a/"+path, "b/"+path
	if before == nil {
		from = absent
	}
	if after == nil {
		to = absent
	}
	_, text, _ := strings.Cut(string(diff.Diff(from, before, to, after)), "\n") // the first line repeats both names
	return text
}
