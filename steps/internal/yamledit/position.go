package yamledit

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Lines are counted from 1, as the parser and people do; its columns count runes.

func (d *Document) offset(line, column int) int {
	at := d.lines[min(line, len(d.lines))-1]
	for ; column > 1 && at < len(d.text); column-- {
		_, size := utf8.DecodeRune(d.text[at:])
		at += size
	}
	return at
}

func (d *Document) start(n *yaml.Node) int { return d.offset(n.Line, n.Column) }

// lineEnd returns the offset behind the last character of a line, before its line end.
func (d *Document) lineEnd(line int) int {
	end := len(d.text)
	if line < len(d.lines) {
		end = d.lines[line] - 1
	}
	if begin := d.lines[line-1]; end > begin && d.text[end-1] == '\r' {
		end--
	}
	return end
}

func (d *Document) line(line int) string { return string(d.text[d.lines[line-1]:d.lineEnd(line)]) }

// prefix returns what stands before an offset on its line.
func (d *Document) prefix(line, offset int) string { return string(d.text[d.lines[line-1]:offset]) }

// newline returns the line end to write after a line.
func (d *Document) newline(line int) string {
	for _, l := range []int{line, 1} {
		if l < len(d.lines) {
			return string(d.text[d.lineEnd(l):d.lines[l]])
		}
	}
	return "\n"
}

// span returns the offsets of the text of a scalar or alias, without its anchor and tag.
func (d *Document) span(n *yaml.Node) (start, end int, err error) {
	start = d.start(n)
	for start < len(d.text) && (d.text[start] == '&' || d.text[start] == '!') {
		start += bytes.IndexAny(append(d.text[start:len(d.text):len(d.text)], ' '), " \t\r\n,]}")
		start += len(d.text[start:]) - len(bytes.TrimLeft(d.text[start:], " \t"))
	}
	switch {
	case n.Kind == yaml.AliasNode:
		end = start + len("*"+n.Value)
		if bytes.HasPrefix(d.text[start:], []byte("*"+n.Value)) {
			return start, end, nil
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, refuse(n.Line, "block text (| or >) in the place of a short value")
	case n.Style&yaml.DoubleQuotedStyle != 0:
		end = start + doubleQuoted(d.text[start:])
	case n.Style&yaml.SingleQuotedStyle != 0:
		end = start + singleQuoted(d.text[start:])
	default:
		end = start + len(n.Value)
		if end > len(d.text) || string(d.text[start:end]) != n.Value {
			return 0, 0, refuse(n.Line, "value spans several lines")
		}
		return start, end, nil
	}
	if end <= start || bytes.IndexByte(d.text[start:end], '\n') >= 0 {
		return 0, 0, refuse(n.Line, "value spans several lines")
	}
	return start, end, nil
}

func doubleQuoted(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

func singleQuoted(text []byte) int {
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			continue
		}
		if i+1 == len(text) || text[i+1] != '\'' {
			return i + 1
		}
		i++
	}
	return 0
}

// end returns the offset behind a value inside of flow style.
func (d *Document) end(n *yaml.Node) (int, error) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		_, end, err := d.span(n)
		return end, err
	}
	at := d.start(n) + 1
	if len(n.Content) > 0 {
		var err error
		if at, err = d.end(n.Content[len(n.Content)-1]); err != nil {
			return 0, err
		}
	}
	closer := map[yaml.Kind]byte{yaml.MappingNode: '}', yaml.SequenceNode: ']'}[n.Kind]
	for ; at < len(d.text); at++ {
		switch d.text[at] {
		case closer:
			return at + 1, nil
		case ' ', '\t', '\r', '\n', ',':
		default:
			return 0, refuse(n.Line, "closing bracket is hard to find")
		}
	}
	return 0, refuse(n.Line, "closing bracket is hard to find")
}

// documentMark matches the line that ends a document, or begins the next one.
var documentMark = regexp.MustCompile(`^(---|\.\.\.)([ \t]|$)`)

var loneDash = regexp.MustCompile(`^ *-[ \t]*(#.*)?$`)

// dash returns where the dash of an item in block style is.
func (d *Document) dash(item *yaml.Node) (line, column int, err error) {
	before := strings.TrimRight(d.prefix(item.Line, d.start(item)), " \t")
	if strings.HasSuffix(before, "-") {
		return item.Line, utf8.RuneCountInString(before), nil
	}
	for line = item.Line - 1; before == "" && line > 0; line-- {
		if text := d.line(line); loneDash.MatchString(text) {
			return line, strings.IndexByte(text, '-') + 1, nil
		} else if !blank(text) {
			break
		}
	}
	return 0, 0, refuse(item.Line, "list item without a dash of its own")
}

// blank reports whether a line holds nothing or only a comment.
func blank(line string) bool {
	line = strings.TrimLeft(line, " \t")
	return line == "" || line[0] == '#'
}

// lastLine returns the last line of a value in block style, without the blank lines and comments that follow it.
func (d *Document) lastLine(p *place) (int, error) {
	next, err := d.nextLine(p)
	if err != nil {
		return 0, err
	}
	leaf := p.node
	for len(leaf.Content) > 0 {
		leaf = leaf.Content[len(leaf.Content)-1]
	}
	belongs := func(text string) bool { return !blank(text) }
	if leaf.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		belongs = d.blockText(leaf, next)
	}
	line := next - 1
	for line > leaf.Line && !belongs(d.line(line)) {
		line--
	}
	return line, nil
}

// blockText tells the lines of a block scalar from what follows it: in there, what looks like a comment is text, and with
// the indicator + also the blank lines at the end are.
func (d *Document) blockText(leaf *yaml.Node, next int) func(string) bool {
	keepsBlanks := strings.HasSuffix(leaf.Value, "\n\n") || leaf.Value == "\n"
	indent := 0
	for line := leaf.Line + 1; line < next && indent == 0; line++ {
		indent = indentation(d.line(line))
	}
	return func(text string) bool {
		if strings.TrimSpace(text) == "" {
			return keepsBlanks
		}
		return !blank(text) || indentation(text) >= indent
	}
}

func indentation(line string) int {
	if strings.TrimSpace(line) == "" {
		return 0
	}
	return len(line) - len(strings.TrimLeft(line, " "))
}

// nextLine returns the line on which the key or item after p begins, or the end of the document.
func (d *Document) nextLine(p *place) (int, error) {
	for ; p.parent != nil; p = p.parent {
		siblings := p.parent.node.Content
		if p.index+1 >= len(siblings) || p.parent.node.Style&yaml.FlowStyle != 0 {
			continue
		}
		next := siblings[p.index+1]
		if p.parent.node.Kind == yaml.MappingNode {
			return next.Line, nil
		}
		line, _, err := d.dash(next)
		return line, err
	}
	for line := d.root().Line + 1; line <= len(d.lines); line++ {
		if documentMark.MatchString(d.line(line)) {
			return line, nil
		}
	}
	if last := len(d.lines); d.line(last) == "" {
		return last, nil
	}
	return len(d.lines) + 1, nil
}
