package yamledit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
)

// Field is one key of a new mapping with its value.
type Field struct{ Key, Value string }

// Set makes the scalar at path the string value, keeping the way it is quoted where that is safe, and adds the key at the
// end of its mapping when it is missing. A value that is this string to every YAML reader already is left alone.
func (d *Document) Set(path Path, value string) error {
	p, err := d.find(path)
	if err != nil {
		return err
	}
	if p == nil {
		return d.Create(path, value)
	}
	if target(p.node).Kind != yaml.ScalarNode {
		return refuse(p.node.Line, "%s is not a single value", path)
	}
	if isString(target(p.node), value) {
		return nil
	}
	if tag := p.node.ShortTag(); p.node.Style&yaml.TaggedStyle != 0 && tag != "!!str" {
		return refuse(p.node.Line, "%s has the tag %s", path, tag)
	}
	start, end, err := d.span(p.node)
	if err != nil {
		return err
	}
	replacement := d.quote(value, p.node.Style, p.flow())
	if start == end {
		if start == 0 || d.text[start-1] != ':' {
			return refuse(p.node.Line, "%s has no value, and where to write one is unclear", path)
		}
		replacement = " " + replacement
	}
	return d.replace(start, end, replacement, change(d.tree(), path, func(any) any { return text(value) }))
}

func isString(n *yaml.Node, value string) bool {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.TaggedStyle) != 0
	return n.ShortTag() == "!!str" && n.Value == value && (quoted || !typed.MatchString(strings.ReplaceAll(value, "_", "")))
}

// Insert puts a mapping before item index of the sequence at path; index may be its length. A sequence that is missing,
// null or empty is begun in the list style of the file.
func (d *Document) Insert(path Path, index int, item []Field) error {
	p, err := d.find(path)
	if err != nil {
		return err
	}
	length := 0
	if p != nil && p.node.Kind == yaml.SequenceNode {
		length = len(p.node.Content)
	}
	if index < 0 || index > length {
		return failure.New(failure.Invalid, "check the path", "%s has %d items, so none can be put before item %d", path, length, index)
	}
	want := change(d.tree(), path, func(old any) any {
		items, _ := old.([]any)
		return append(append(items[:index:index], mapping(item)), items[index:]...)
	})
	fresh := func(column int) (lines []string, flow string) {
		return append([]string{""}, d.itemLines(item, column+d.listIndent(d.root()), " ")...), "[" + d.flowItem(item) + "]"
	}
	switch {
	case p == nil:
		return d.addKey(path, want, fresh)
	case isNull(p.node), p.node.Kind == yaml.SequenceNode && len(p.node.Content) == 0:
		return d.beginSequence(p, fresh, want)
	case p.node.Kind != yaml.SequenceNode:
		return refuse(p.node.Line, "%s is not a list", path)
	case p.flow():
		return d.insertFlow(p, index, item, want)
	}
	return d.insertBlock(p, index, item, want)
}

// Delete removes a key with its value, or an item of a sequence. What is left of its parent must not be empty.
func (d *Document) Delete(path Path) error {
	p, err := d.find(path)
	if err != nil {
		return err
	}
	if p == nil || p.parent == nil {
		return failure.New(failure.Invalid, "check the path", "there is no %s", path)
	}
	begin, width := p.index, 1
	if p.parent.node.Kind == yaml.MappingNode {
		begin, width = p.index-1, 2
	}
	if len(p.parent.node.Content) == width {
		return refuse(p.node.Line, "%s is all there is in %s", path, path[:len(path)-1])
	}
	want := change(d.tree(), path, func(any) any { return nil })
	if p.parent.flow() {
		return d.deleteFlow(p, begin, want)
	}
	last, err := d.lastLine(p)
	if err != nil {
		return err
	}
	first := p.parent.node.Content[begin]
	line, column := first.Line, first.Column
	if width == 1 {
		if line, column, err = d.dash(first); err != nil {
			return err
		}
	}
	start := d.offset(line, column)
	before := strings.TrimSpace(d.prefix(line, start))
	switch {
	case before == "":
		return d.deleteLines(line, last, want)
	case width == 2 && begin == 0 && strings.HasSuffix(before, "-"):
		return d.pullUp(start, last, p.parent.node.Content[2], want)
	}
	return refuse(line, "%s does not begin its line", path)
}

func mapping(item []Field) []pair {
	pairs := make([]pair, 0, len(item))
	for _, f := range item {
		pairs = append(pairs, pair{key: text(f.Key), value: text(f.Value)})
	}
	return pairs
}

// replace is the only place that changes the file. The other documents must stay as they are.
func (d *Document) replace(start, end int, replacement string, want any) error {
	line := 1 + bytes.Count(d.text[:start], []byte("\n"))
	all := slices.Clone(d.trees)
	all[d.index] = want
	changed, err := parse(append(append(bytes.Clone(d.text[:start]), replacement...), d.text[end:]...))
	if err != nil || !reflect.DeepEqual(changed.trees, all) {
		return refuse(line, "the edit would change more than was asked for")
	}
	changed.mark = d.mark
	*d.file = *changed
	return nil
}

// isJSON also holds for JSON with comments or trailing commas, which YAML readers accept.
func (d *Document) isJSON() bool {
	root := d.root()
	return json.Valid(d.text) ||
		root.Style&yaml.FlowStyle != 0 && len(root.Content) > 0 && root.Content[0].Style&yaml.DoubleQuotedStyle != 0
}

func (d *Document) quote(value string, style yaml.Style, flow bool) string {
	if d.isJSON() {
		style = yaml.DoubleQuotedStyle
	}
	return render(value, style, flow)
}

// addKey adds the last part of path to its mapping. value is asked for the value's text in both styles: the first line
// follows the key, the others are whole lines, given the column of the key from 0.
func (d *Document) addKey(path Path, want any, value func(column int) (lines []string, flow string)) error {
	parent, err := d.find(path[:len(path)-1])
	if err != nil {
		return err
	}
	key := d.quote(path[len(path)-1].(string), 0, true) + ":"
	keys := parent.node.Content
	if parent.flow() {
		_, flow := value(0)
		if len(keys) == 0 {
			start := d.start(parent.node) + 1
			return d.replace(start, start, key+" "+flow, want)
		}
		var end int
		if end, err = d.end(keys[len(keys)-1]); err != nil {
			return err
		}
		return d.replace(end, end, ", "+key+" "+flow, want)
	}
	line, err := d.lastLine(parent.at(len(keys) - 1))
	if err != nil {
		return err
	}
	column := keys[0].Column - 1
	lines, _ := value(column)
	lines[0] = strings.Repeat(" ", column) + strings.TrimRight(key+" "+lines[0], " ")
	return d.insertLines(line, lines, want)
}

func (d *Document) insertLines(after int, lines []string, want any) error {
	at, newline := d.lineEnd(after), d.newline(after)
	return d.replace(at, at, newline+strings.Join(lines, newline), want)
}

func (d *Document) deleteLines(first, last int, want any) error {
	start, end := d.lines[first-1], len(d.text)
	if last < len(d.lines) {
		end = d.lines[last]
	} else if first > 1 {
		start = d.lineEnd(first - 1)
	}
	return d.replace(start, end, "", want)
}

// pullUp deletes the first key of an item, so that the next one follows the dash.
func (d *Document) pullUp(start, last int, next *yaml.Node, want any) error {
	for line := last + 1; line < next.Line; line++ {
		if strings.TrimSpace(d.line(line)) != "" {
			return refuse(line, "a comment is in the way of joining two lines")
		}
	}
	return d.replace(start, d.start(next), "", want)
}

func (d *Document) deleteFlow(p *place, begin int, want any) error {
	siblings := p.parent.node.Content
	_, err := d.end(p.node)
	if err != nil {
		return err
	}
	var start, end int
	if p.index+1 < len(siblings) {
		start, end = d.start(siblings[begin]), d.start(siblings[p.index+1])
	} else {
		start, err = d.end(siblings[begin-1])
		if err != nil {
			return err
		}
		end, _ = d.end(p.node)
	}
	if bytes.Contains(d.text[start:end], []byte(" #")) {
		return refuse(p.node.Line, "a comment is in the way of removing a value")
	}
	return d.replace(start, end, "", want)
}

// beginSequence replaces null or [] by a sequence with one item.
func (d *Document) beginSequence(p *place, fresh func(column int) ([]string, string), want any) error {
	if p.parent.node.Kind != yaml.MappingNode || p.node.Anchor != "" || p.node.Style&yaml.TaggedStyle != 0 {
		return refuse(p.node.Line, "empty list is not the simple value of a key")
	}
	key := p.parent.node.Content[p.index-1]
	lines, flow := fresh(key.Column - 1)
	end, err := d.end(p.node)
	if err != nil {
		return err
	}
	start := d.start(p.node)
	if p.parent.flow() {
		return d.replace(start, end, flow, want)
	}
	lineEnd := d.lineEnd(p.node.Line)
	if end > lineEnd {
		return refuse(p.node.Line, "empty list spans several lines")
	}
	newline := d.newline(p.node.Line)
	rest := strings.TrimRight(string(d.text[end:lineEnd]), " \t")
	for rest == "" && d.text[start-1] == ' ' {
		start--
	}
	return d.replace(start, lineEnd, strings.TrimLeft(rest, " \t")+newline+strings.Join(lines[1:], newline), want)
}

func (d *Document) insertFlow(p *place, index int, item []Field, want any) error {
	if index == 0 {
		start := d.start(p.node.Content[0])
		return d.replace(start, start, d.flowItem(item)+", ", want)
	}
	end, err := d.end(p.node.Content[index-1])
	if err != nil {
		return err
	}
	return d.replace(end, end, ", "+d.flowItem(item), want)
}

func (d *Document) insertBlock(p *place, index int, item []Field, want any) error {
	near := p.at(max(index-1, 0))
	line, column, err := d.dash(near.node)
	if err != nil {
		return err
	}
	gap := " "
	if near.node.Line == line {
		gap = string(d.text[d.offset(line, column)+1 : d.start(near.node)])
	}
	if strings.TrimSpace(d.prefix(line, d.offset(line, column))) != "" {
		return refuse(line, "list item does not begin its line")
	}
	if index == 0 {
		line--
	} else if line, err = d.lastLine(near); err != nil {
		return err
	}
	return d.insertLines(line, d.itemLines(item, column-1, gap), want)
}

func (d *Document) itemLines(item []Field, column int, gap string) []string {
	lines := make([]string, 0, len(item))
	lead := strings.Repeat(" ", column) + "-" + gap
	for _, f := range item {
		lines = append(lines, lead+d.quote(f.Key, 0, false)+": "+d.quote(f.Value, 0, false))
		lead = strings.Repeat(" ", len(lead))
	}
	return lines
}

func (d *Document) flowItem(item []Field) string {
	fields := make([]string, 0, len(item))
	for _, f := range item {
		fields = append(fields, d.quote(f.Key, 0, true)+": "+d.quote(f.Value, 0, true))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// listIndent returns how far the first list of the file that belongs to a key is indented under that key.
func (d *Document) listIndent(n *yaml.Node) int {
	for i, value := range n.Content {
		if n.Style&yaml.FlowStyle != 0 {
			break
		}
		if n.Kind == yaml.MappingNode && i%2 == 1 && value.Kind == yaml.SequenceNode &&
			value.Style&yaml.FlowStyle == 0 && len(value.Content) > 0 {
			if _, column, err := d.dash(value.Content[0]); err == nil {
				return max(column-n.Content[i-1].Column, 0)
			}
		}
		if indent := d.listIndent(value); indent > 0 {
			return indent
		}
	}
	return 0
}
