package manifest

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// What errors of Build say of their place: refusals begin with it, kustomize names files relative to their kustomization.
var (
	placed      = regexp.MustCompile(`^([^:]+):(\d+): `)
	inFiles     = regexp.MustCompile(`^([^:]+): (?:([^: ]+): )?`)
	syntax      = regexp.MustCompile(`\byaml: |unable to parse`)
	yamlError   = regexp.MustCompile(`\bline (\d+): (.*)`)
	unknownKey  = regexp.MustCompile(`unknown field "([^"]+)"|Go struct field \w+\.(\w+)|: (\w+) would run`)
	objectID    = regexp.MustCompile(`\b([A-Z]\w*)\.[\w\[\].-]+/([a-z0-9.-]+)\.(?:\[noNs\]|[a-z0-9-]+)`)
	missingPath = regexp.MustCompile(`missing path: (\S+): |unable to remove nonexistent key: (\S+): `)
)

// FindError returns the file and the line that an error of Build is about, "" and 0 for what is not known of them.
func (l *Lines) FindError(err error) (file string, line int) {
	message := err.Error()
	if m := placed.FindStringSubmatch(message); m != nil && l.isFile(m[1]) {
		line, _ = strconv.Atoi(m[2])
		return m[1], line
	}
	l.kustomizations()
	for _, resource := range l.resources {
		l.documents(resource)
	}
	if syntax.MatchString(message) && len(l.malformed) > 0 {
		return l.malformed[0].file, l.malformed[0].line
	}
	file = l.named(message)
	for _, find := range []func(message, file string) place{l.key, l.operation, l.object} {
		if p := find(message, file); p.line > 0 {
			return p.file, p.line
		}
	}
	return file, 0
}

func (l *Lines) isFile(name string) bool {
	info, err := l.guard.source.Stat(l.guard.ctx, name)
	return err == nil && !info.Dir
}

// named returns the only file that the beginning of a message may mean.
func (l *Lines) named(message string) (file string) {
	m := inFiles.FindStringSubmatch(message)
	switch {
	case m == nil:
		return ""
	case l.isFile(m[1]):
		return m[1]
	}
	for known := range l.files {
		if m[2] != "" && (known == m[2] || strings.HasSuffix(known, "/"+m[2])) {
			if file != "" {
				return ""
			}
			file = known
		}
	}
	return file
}

// syntaxError says why a text is no YAML, with lines of the whole of it.
func syntaxError(data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		switch err := decoder.Decode(&yaml.Node{}); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// malformedLine returns the line of an error of the parser. What the scanner says is right. Of a mistake in the structure the
// parser says, counted from 0, where the mapping or the list began: the mistake is at the end of the shortest text that has it.
func malformedLine(data []byte, err error) int {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil { // a character that may not be in YAML
		return 1 + bytes.Count(data[:max(0, bytes.IndexFunc(data, isControl))], []byte("\n"))
	}
	line, _ := strconv.Atoi(m[1])
	switch {
	case !strings.HasPrefix(m[2], "did not find expected"):
		return line
	case strings.Contains(m[2], "','"), len(data) > 1<<20:
		// A bracket that is not closed is best looked for from where it was opened, and a long text takes long to search.
		return line + 1
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	return 1 + sort.Search(len(lines)-1, func(i int) bool {
		shorter := syntaxError(bytes.Join(lines[:i+1], nil))
		return shorter != nil && strings.HasSuffix(shorter.Error(), m[2])
	})
}

func isControl(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r)
}

// key finds a field of a kustomization that kustomize does not know, or cannot decode.
func (l *Lines) key(message, file string) (found place) {
	if m := unknownKey.FindStringSubmatch(message); m != nil {
		for _, top := range l.documents(file) {
			if line := keyLine(top, m[1]+m[2]+m[3]); line > 0 {
				return place{file: file, line: line}
			}
		}
	}
	return place{}
}

func keyLine(n *yaml.Node, key string) int {
	if at, _ := entry(n, key); at != nil {
		return at.Line
	}
	for _, child := range n.Content {
		if line := keyLine(child, key); line > 0 {
			return line
		}
	}
	return 0
}

// operation finds the only operation of a JSON patch that changes what is not there.
func (l *Lines) operation(message, _ string) (found place) {
	m := missingPath.FindStringSubmatch(message)
	if m == nil {
		return place{}
	}
	for _, p := range l.patches() {
		if p.top.Kind != yaml.SequenceNode {
			continue
		}
		for _, operation := range p.top.Content {
			if text(operation, "path") != m[1]+m[2] {
				continue
			}
			if found.line > 0 {
				return place{}
			}
			found = place{file: p.file, line: operation.Line}
		}
	}
	return found
}

// object finds the patch that no object matches, or the object that is there twice or has no name.
func (l *Lines) object(message, file string) place {
	kind, name := "", ""
	if m := objectID.FindStringSubmatch(message); m != nil {
		kind, name = m[1], m[2]
	} else if !strings.Contains(message, "missing metadata.name") {
		return place{}
	}
	for _, p := range l.patches() {
		if name != "" && p.target == nil && text(p.top, "kind") == kind && text(p.top, "metadata", "name") == name {
			return place{file: p.file, line: p.top.Line}
		}
	}
	for _, o := range l.objects(file) {
		if o.name == name && (o.kind == kind || name == "") {
			return place{file: file, line: o.node.Line}
		}
	}
	return place{}
}

func (l *Lines) patches() (all []patch) {
	for _, layer := range l.layers {
		if p, ok := layer.(patch); ok {
			all = append(all, p)
		}
	}
	return all
}
