// Package yamledit changes single values of a YAML text and leaves every other byte as it is: comments, blank lines,
// order, quoting, indentation, line ends, byte order mark. It parses for positions only and never encodes a document
// again. Every edit is checked by parsing the result: unless it differs from the old document in exactly the asked way,
// the edit is refused. Whatever could be read in two ways is refused as well, with the line and the reason.
package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
)

const (
	// MaxSize is the size in bytes above which a file is refused.
	MaxSize = 5 << 20
	// maxNodes bounds a document after its aliases are expanded, so that a few hundred bytes cannot claim gigabytes.
	maxNodes = 500_000
	// maxDepth ends the expansion of an alias that stands inside of its own anchor.
	maxDepth = 1000

	byteOrderMark = "\ufeff"
)

// Document is one YAML document of a file. An edit either succeeds and changes the file, or returns an error of kind
// Invalid and changes nothing. Documents of one file share it: each sees the edits of the others.
type Document struct {
	*file
	index int // in roots and trees
}

// file is a text with what was parsed from it.
type file struct {
	mark  []byte // the byte order mark, if there is one
	text  []byte // what follows it
	lines []int  // offsets of the line starts in text
	roots []*yaml.Node
	trees []any // roots with aliases expanded, see tree.go
	used  map[*yaml.Node]bool
}

// Parse reads a file that holds exactly one YAML document whose root is a mapping.
func Parse(data []byte) (*Document, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	if len(f.roots) > 1 {
		return nil, refuse(f.roots[1].Line, "a second YAML document begins before this line")
	}
	if root := f.roots[0]; root.Kind != yaml.MappingNode {
		return nil, refuse(root.Line, "expected keys and values at the top of the file")
	}
	return &Document{file: f}, nil
}

// ParseAll reads a file of one or several YAML documents, and returns those that are not empty. There is at least one.
func ParseAll(data []byte) ([]*Document, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	var documents []*Document
	for i, root := range f.roots {
		if !isNull(root) {
			documents = append(documents, &Document{file: f, index: i})
		}
	}
	if len(documents) == 0 {
		return nil, errNoDocument()
	}
	return documents, nil
}

func parse(data []byte) (*file, error) {
	text, hasMark := bytes.CutPrefix(data, []byte(byteOrderMark))
	if err := checkText(text); err != nil {
		return nil, err
	}
	f := &file{text: text, lines: lineStarts(text), used: map[*yaml.Node]bool{}}
	if hasMark {
		f.mark = []byte(byteOrderMark)
	}
	var err error
	if f.roots, err = decode(text); err != nil {
		return nil, err
	}
	budget := maxNodes
	for _, root := range f.roots {
		if err = f.inspect(root, map[*yaml.Node]bool{}); err != nil {
			return nil, err
		}
		tree, err := expand(root, &budget, 0)
		if err != nil {
			return nil, err
		}
		f.trees = append(f.trees, tree)
	}
	return f, nil
}

// Bytes returns the file as it is after the edits so far. The caller must not change it.
func (f *file) Bytes() []byte {
	return append(bytes.Clone(f.mark), f.text...)
}

func (d *Document) root() *yaml.Node { return d.roots[d.index] }

func (d *Document) tree() any { return d.trees[d.index] }

func refuse(line int, format string, args ...any) error {
	return failure.New(failure.Invalid, "edit the file by hand so that this line is simple and unambiguous",
		"line %d: %s", line, fmt.Sprintf(format, args...))
}

func checkText(text []byte) error {
	const hint = "check that the path names a YAML file in UTF-8"
	switch {
	case len(text) > MaxSize:
		return failure.New(failure.Invalid, hint, "file of %d bytes is larger than the limit of %d", len(text), MaxSize)
	case bytes.HasPrefix(text, []byte("version https://git-lfs.github.com/spec/")):
		return failure.New(failure.Invalid, "run git lfs pull, or take the file out of LFS", "file is a Git LFS pointer")
	case bytes.IndexByte(text, 0) >= 0:
		return failure.New(failure.Invalid, hint, "file is binary")
	}
	line := 1
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			return failure.New(failure.Invalid, hint, "line %d: invalid UTF-8", line)
		case r == '\u0085' || r == '\u2028' || r == '\u2029':
			return refuse(line, "character U+%04X is a line end to some YAML readers only", r)
		case r == '\ufeff':
			return refuse(line, "byte order mark inside the file")
		case r == '\r' && !bytes.HasPrefix(rest, []byte("\r\n")):
			return refuse(line, "carriage return without a line feed")
		case r == '\n':
			line++
		}
		rest = rest[size:]
	}
	return nil
}

func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func decode(text []byte) (roots []*yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		switch err = decoder.Decode(&document); {
		case err == nil:
			roots = append(roots, document.Content[0])
		case !errors.Is(err, io.EOF):
			return nil, syntaxError(err)
		case len(roots) == 0:
			return nil, errNoDocument()
		default:
			return roots, nil
		}
	}
}

func errNoDocument() error {
	return failure.New(failure.Invalid, "check that the path names the right file", "file holds no YAML document")
}

func syntaxError(err error) error {
	return failure.New(failure.Invalid, "correct the YAML syntax", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
}

// inspect refuses what makes a document ambiguous and finds the anchors that are in use; seen are those of the document.
func (f *file) inspect(n *yaml.Node, seen map[*yaml.Node]bool) error {
	if n.Line > len(f.lines) {
		return refuse(len(f.lines), "a value is missing at the end of the file")
	}
	if n.Kind == yaml.AliasNode {
		if !seen[n.Alias] {
			return refuse(n.Line, "anchor &%s is in another document", n.Value)
		}
		f.used[n.Alias] = true
		return nil
	}
	if n.Anchor != "" {
		seen[n] = true
	}
	if n.Kind == yaml.MappingNode {
		if err := checkKeys(n); err != nil {
			return err
		}
	}
	for _, child := range n.Content {
		if err := f.inspect(child, seen); err != nil {
			return err
		}
	}
	return nil
}

func checkKeys(mapping *yaml.Node) error {
	lines := map[string]int{}
	for i := 0; i < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		if key.Kind != yaml.ScalarNode {
			return refuse(key.Line, "a key that is not a plain word")
		}
		if first, ok := lines[key.Value]; ok {
			return refuse(key.Line, "key %q is already on line %d", key.Value, first)
		}
		lines[key.Value] = key.Line
	}
	return nil
}
