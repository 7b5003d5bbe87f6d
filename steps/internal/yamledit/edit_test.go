package yamledit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	yaml2 "go.yaml.in/yaml/v2"
	yaml3 "go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/yamledit"
)

type path = yamledit.Path

func set(p path, value string) func(*yamledit.Document) error {
	return func(d *yamledit.Document) error { return d.Set(p, value) }
}

func del(p ...any) func(*yamledit.Document) error {
	return func(d *yamledit.Document) error { return d.Delete(p) }
}

func insert(p path, index int, fields ...yamledit.Field) func(*yamledit.Document) error {
	return func(d *yamledit.Document) error { return d.Insert(p, index, fields) }
}

var item = []yamledit.Field{{Key: "k", Value: "v"}, {Key: "on", Value: "1"}}

func TestEditsChangeOnlyWhatIsAsked(t *testing.T) {
	tests := map[string]struct {
		before string
		edit   func(*yamledit.Document) error
		after  string
	}{
		"a value deep in lists and mappings": {
			"spec:\n  containers:\n  - name: a\n    image: a:1 # pin\n", set(path{"spec", "containers", 0, "image"}, "a:2"),
			"spec:\n  containers:\n  - name: a\n    image: a:2 # pin\n",
		},
		"an item of a list":                   {"a:\n- x\n- y\n", set(path{"a", 1}, "z"), "a:\n- x\n- z\n"},
		"a value on the next line":            {"a:\n  # c\n  x\n", set(path{"a"}, "w"), "a:\n  # c\n  w\n"},
		"a value behind an anchor and a tag":  {"a: !!str &x  v1 # c\n", set(path{"a"}, "v2"), "a: !!str &x  v2 # c\n"},
		"a null":                              {"a: ~\n", set(path{"a"}, "v"), "a: v\n"},
		"a key without a value":               {"a: # c\nb: 1\n", set(path{"a"}, "v"), "a: v # c\nb: 1\n"},
		"a value in flow style with a colon":  {"a: {b: c}\n", set(path{"a", "b"}, "c:1"), "a: {b: \"c:1\"}\n"},
		"double quotes with escapes":          {`a: "x\" # \u00e9" # c`, set(path{"a"}, `q"q`), `a: "q\"q" # c`},
		"single quotes with quotes":           {"a: 'it''s' # c", set(path{"a"}, "isn't"), "a: 'isn''t' # c"},
		"single quotes cannot hold a newline": {"a: 'x'", set(path{"a"}, "x\ny"), `a: "x\ny"`},
		"text that needs quotes":              {"a: x\n", set(path{"a"}, "x: # y"), "a: \"x: # y\"\n"},
		"runes before the value":              {"a: [é, \"ü\", x]\n", set(path{"a", 2}, "w"), "a: [é, \"ü\", w]\n"},
		"a missing key":                       {"a:\n    b: 1\n\n# c\nd: 2\n", set(path{"a", "c"}, "x"), "a:\n    b: 1\n    c: x\n\n# c\nd: 2\n"},
		"a missing key before the end mark":   {"a: 1\n# c\n...\n", set(path{"b"}, "x"), "a: 1\nb: x\n# c\n...\n"},
		"a missing key after block text":      {"a: |+\n  x\n\n", set(path{"b"}, "w"), "a: |+\n  x\n\nb: w\n"},
		"a missing key in an empty mapping":   {"a: {}\n", set(path{"a", "b"}, "x"), "a: {b: x}\n"},
		"a missing key in a mapping of lines": {
			"a: {b: [1, 2 ,\n  ] , # c\n}\n", set(path{"a", "c"}, "x"),
			"a: {b: [1, 2 ,\n  ], c: x , # c\n}\n",
		},
		"a key that reads as a boolean": {"a: x\n", set(path{"on"}, "x"), "a: x\n\"on\": x\n"},

		"deleting a key in the middle":      {"a: 1\nb: |\n  x\n  # y\n# c\nd: 1\n", del("b"), "a: 1\n# c\nd: 1\n"},
		"deleting the last key":             {"a: 1\r\nb: 2", del("b"), "a: 1"},
		"deleting the first key of an item": {"a:\n  - b: 1 # x\n    c: 2 # y\n", del("a", 0, "b"), "a:\n  - c: 2 # y\n"},
		"deleting a first key with a list":  {"a:\n- b:\n  - 1\n  c: 2\n", del("a", 0, "b"), "a:\n- c: 2\n"},
		"deleting in flow style":            {"a: {b: 1, c: 2, d: 3}", del("a", "c"), "a: {b: 1, d: 3}"},
		"deleting the last in flow style":   {"a: [1, 2, [3]]", del("a", 2), "a: [1, 2]"},
		"deleting an item":                  {"a:\n- b: 1\n  c: 2\n# d\n- e\n", del("a", 0), "a:\n# d\n- e\n"},
		"deleting an item with a lone dash": {"a:\n-\n  b: 1\n- # c\n  e: 1\n", del("a", 1), "a:\n-\n  b: 1\n"},

		"an item in the middle": {
			"a:\n  -   x: 1 # c\n\n  # d\n  -   y: 1\n", insert(path{"a"}, 1, item...),
			"a:\n  -   x: 1 # c\n  -   k: v\n      \"on\": \"1\"\n\n  # d\n  -   y: 1\n",
		},
		"an item at the front":             {"a:\n# c\n- x\n", insert(path{"a"}, 0, item...), "a:\n# c\n- k: v\n  \"on\": \"1\"\n- x\n"},
		"an item in flow style":            {"a: [x, {y: 1}]", insert(path{"a"}, 2, item...), "a: [x, {y: 1}, {k: v, \"on\": \"1\"}]"},
		"an item at the front of flow":     {"a: [x]", insert(path{"a"}, 0, item...), "a: [{k: v, \"on\": \"1\"}, x]"},
		"a list in an empty flow list":     {"{a: [ ]}", insert(path{"a"}, 0, item...), "{a: [{k: v, \"on\": \"1\"}]}"},
		"a list that is missing in flow":   {"{a: b}", insert(path{"c"}, 0, item...), "{a: b, c: [{k: v, \"on\": \"1\"}]}"},
		"a list in the style of the file":  {"x:\n  - 1\nb:\n  c: 1\n", insert(path{"b", "a"}, 0, item[:1]...), "x:\n  - 1\nb:\n  c: 1\n  a:\n    - k: v\n"},
		"a list for a null":                {"a: null # c\r\nb: 1\r\n", insert(path{"a"}, 0, item[:1]...), "a: # c\r\n- k: v\r\nb: 1\r\n"},
		"a list in a nested empty list":    {"b:\n  a: []", insert(path{"b", "a"}, 0, item[:1]...), "b:\n  a:\n  - k: v"},
		"a list in a document with a mark": {"\ufeff---\na: 1\n", insert(path{"b"}, 0, item[:1]...), "\ufeff---\na: 1\nb:\n- k: v\n"},
		"a value that is there already":    {"a: 'v1'\n", set(path{"a"}, "v1"), "a: 'v1'\n"},
		"a number that shall be text":      {"a: 1.10\n", set(path{"a"}, "1.10"), "a: \"1.10\"\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := yamledit.Parse([]byte(test.before))
			if err != nil {
				t.Fatal(err)
			}
			if err = test.edit(d); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, string(d.Bytes())); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusedEditsChangeNothing(t *testing.T) {
	tests := map[string]struct {
		text string
		edit func(*yamledit.Document) error
		want string
	}{
		"a block scalar":                {"a: >\n  x\n", set(path{"a"}, "y"), "line 1: block text"},
		"a plain value of two lines":    {"a: x\n  y\n", set(path{"a"}, "z"), "line 1: value spans several lines"},
		"a quoted value of two lines":   {"a: \"x\n  y\"\n", set(path{"a"}, "z"), "line 1: value spans several lines"},
		"an anchor in use":              {"a: &x v\nb: *x\n", set(path{"a"}, "z"), "line 1: anchor &x is used elsewhere"},
		"inside of an anchor in use":    {"a: &x {c: v}\nb: *x\n", set(path{"a", "c"}, "z"), "line 1: anchor &x is used elsewhere"},
		"through an alias":              {"a: &x {c: v}\nb: *x\n", set(path{"b", "c"}, "z"), "line 2: b is an alias"},
		"a value with another tag":      {"a: !!int 1\n", set(path{"a"}, "z"), "line 1: a has the tag !!int"},
		"a mapping in place of a value": {"a: {b: c}\n", set(path{"a"}, "z"), "line 1: a is not a single value"},
		"a path that is not there":      {"a: 1\n", set(path{"b", "c"}, "z"), "there is no b"},
		"an index that is not there":    {"a: [1]\n", set(path{"a", 1}, "z"), "there is no a[1]"},
		"an item beyond the end":        {"a: [1]\n", insert(path{"a"}, 2, item...), "a has 1 items"},
		"a list that is an alias":       {"a: &x [1]\nb: *x\n", insert(path{"b"}, 0, item...), "line 2: b is not a list"},
		"a value in place of a list":    {"a: 1\n", insert(path{"a"}, 0, item...), "line 1: a is not a list"},
		"the only key":                  {"a:\n  b: 1\n", del("a", "b"), "line 2: a.b is all there is in a"},
		"a comment between two keys":    {"a:\n- b: 1\n  # c\n  d: 1\n", del("a", 0, "b"), "line 3: a comment is in the way"},
		"a key with a question mark":    {"? a\n: 1\nb: 2\n", del("a"), "does not begin its line"},
		"an anchor that is deleted":     {"a: 1\nc: [&x v]\nb: *x\n", del("c"), "would change more"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := yamledit.Parse([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			err = test.edit(d)
			if err == nil || !strings.Contains(err.Error(), test.want) || failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "" {
				t.Errorf("error is %v, want one of kind invalid with a hint and %q", err, test.want)
			}
			if string(d.Bytes()) != test.text {
				t.Errorf("document changed:\n%s", d.Bytes())
			}
		})
	}
}

func TestParseRefusesWhatReadersDisagreeOn(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"two documents":       {"a: 1\n---\nb: 2\n", "line 3: a second YAML document"},
		"an empty second one": {"a: 1\n---\n", "a second YAML document"},
		"no document":         {"# nothing\n", "no YAML document"},
		"a list":              {"- a\n", "line 1: expected keys"},
		"a duplicate key":     {"a: {x: 1,\n x: 2}\n", `line 2: key "x" is already on line 1`},
		"equal key texts":     {"1: a\n\"1\": b\n", `line 2: key "1" is already on line 1`},
		"a complex key":       {"? [a]\n: 1\n", "line 1: a key that is not a plain word"},
		"a syntax error":      {"a: [\n", "line"},
		"binary":              {"a\x00b", "binary"},
		"UTF-16":              {"\xff\xfea\x00", "binary"},
		"invalid UTF-8":       {"a: 1\nb: \xe9\n", "line 2: invalid UTF-8"},
		"NEL":                 {"a: 1\u0085b: 2", "line 1: character U+0085"},
		"a second mark":       {"a: 1\n\ufeffb: 2", "line 2: byte order mark"},
		"a lone return":       {"a: 1\rb: 2", "line 1: carriage return"},
		"a huge file":         {strings.Repeat("#", yamledit.MaxSize+1), "larger than the limit"},
		"an endless alias":    {"a: &a [1, *a]\n", "nested in more than 1000 levels, or in itself"},
		"a pointer":           {"version https://git-lfs.github.com/spec/v1\noid x\n", "Git LFS pointer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := yamledit.Parse([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "" {
				t.Errorf("error is %v, want one of kind invalid with a hint and %q", err, test.want)
			}
		})
	}
}

func TestLookFollowsAliases(t *testing.T) {
	d, err := yamledit.Parse([]byte("a: &x\n  b: [1, 2]\nc: *x\nd:\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path path
		want yamledit.Value
	}{
		{nil, yamledit.Value{Kind: yamledit.Mapping, Line: 1, Keys: []string{"a", "c", "d"}}},
		{path{"c"}, yamledit.Value{Kind: yamledit.Mapping, Line: 3, Keys: []string{"b"}}},
		{path{"c", "b"}, yamledit.Value{Kind: yamledit.Sequence, Line: 2, Len: 2}},
		{path{"c", "b", 1}, yamledit.Value{Kind: yamledit.Scalar, Line: 2, Text: "2"}},
		{path{"c", "b", 2}, yamledit.Value{Kind: yamledit.Missing}},
		{path{"c", "b", "x", 1}, yamledit.Value{Kind: yamledit.Missing}},
		{path{"d"}, yamledit.Value{Kind: yamledit.Null, Line: 4}},
	} {
		if diff := cmp.Diff(test.want, d.Look(test.path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
	}
}

// FuzzPlain checks the rule against two readers, one of YAML 1.1 and one of YAML 1.2 with leftovers of 1.1.
func FuzzPlain(f *testing.F) {
	for _, value := range []string{
		"", "1.10", "012", "1e3", "true", "null", "~", "0x1F", "1_000", "2024-01-01", "on", ".5", "+1", "y", "N", "706798e8", "0e12", ".inf",
		"0o17", "20261122.1", "190:20:30", "1.2.3", "v1", "1.2.3-rc.1", "latest", "0x_1", "0_x1", "-0b1", "1:2", "a:", "a:b", "=", "<<", "---", "_",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !yamledit.IsPlain(value) {
			return
		}
		text := "k: " + value + "\n"
		var by2, by3 map[string]any
		if err := yaml2.Unmarshal([]byte(text), &by2); err != nil {
			t.Fatal(err)
		}
		if err := yaml3.Unmarshal([]byte(text), &by3); err != nil {
			t.Fatal(err)
		}
		if by2["k"] != value || by3["k"] != value {
			t.Errorf("%q reads as %#v and %#v", value, by2["k"], by3["k"])
		}
	})
}

func TestPlainKeepsOrdinaryValuesWithoutQuotes(t *testing.T) {
	for _, value := range []string{
		"v1", "1.2.3", "1.2.3-rc.1", "latest", "registry.example.com:5000/team/app", "sha256:0a1b", "7a2b3c4", "main-20261122-1a2b3c",
	} {
		if !yamledit.IsPlain(value) {
			t.Errorf("%q is quoted", value)
		}
	}
}

// FuzzEdit makes one edit somewhere in a file: it is refused, or the file can be edited on, says what was asked, and its
// other documents are to a plain decoder what they were.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		"a:\n- b: 1 # c\n  d: |\n    x\n    # y\n\n- {e: [f, 'g'], h: \"i\"}\n# end\n",
		"a: &x {b: c}\nd: *x\ne:\n  - - 1\n    - 2\n  -\n    k: v\n...\n",
		"\ufeff? a\n: b\r\nc: []\r\nd:\r\ne: !!str 1",
		"{\n  \"a\": [\n    {\"b\": null}\n  ]\n}",
		"a: true\n---\n# c\n---\n- b: 1.5\n  c: |+\n    x\n\n--- {d: 1}\n...\n--- # e\nf: &x on\ng: *x\n",
	} {
		for at := range byte(12) {
			f.Add([]byte(seed), at, at%6, "v:1")
			f.Add([]byte(seed), at, 4+at%4*6, "1")
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, at, edit byte, value string) {
		documents, err := yamledit.ParseAll(data)
		if err != nil {
			return
		}
		index := int(edit/6) % len(documents)
		d := documents[index]
		all := paths(d, nil)
		p := all[int(at)%len(all)]
		switch edit % 6 {
		case 0:
			if err = d.Set(p, value); err == nil && d.Look(p).Text != value {
				t.Errorf("%s is %+v, not %q", p, d.Look(p), value)
			}
		case 1:
			err = d.Set(p.With("new"), value)
		case 2:
			err = d.Delete(p)
		case 3:
			err = d.Insert(p, d.Look(p).Len, []yamledit.Field{{Key: "k", Value: value}})
		case 4:
			if err = d.Assign(p, value); err == nil && d.Look(p).Text != value {
				t.Errorf("%s is %+v, not %q", p, d.Look(p), value)
			}
		default:
			err = d.Create(p.With("new", "k"), value)
		}
		if err != nil {
			if failure.KindOf(err) != failure.Invalid || string(d.Bytes()) != string(data) {
				t.Errorf("refused with %v, file:\n%s", err, d.Bytes())
			}
			return
		}
		if _, err = yamledit.ParseAll(d.Bytes()); err != nil {
			t.Errorf("%v:\n%s", err, d.Bytes())
		}
		before, after := others(data, index), others(d.Bytes(), index)
		if diff := cmp.Diff(before, after); diff != "" && before != nil {
			t.Errorf("other documents (-want +got):\n%s\n%s", diff, d.Bytes())
		}
	})
}

// others decodes all documents that are not null, but the one with the given index.
func others(data []byte, index int) (texts []string) {
	decoder := yaml3.NewDecoder(bytes.NewReader(data))
	for i := 0; ; {
		var value any
		err := decoder.Decode(&value)
		switch {
		case errors.Is(err, io.EOF):
			return texts
		case err != nil:
			return nil // aliases that the decoder finds excessive, for one
		case value == nil:
			continue
		case i != index:
			texts = append(texts, fmt.Sprintf("%#v", value))
		}
		i++
	}
}

// paths lists the first paths of a document, aliases included.
func paths(d *yamledit.Document, p yamledit.Path) []yamledit.Path {
	all := []yamledit.Path{p}
	v := d.Look(p)
	for _, key := range v.Keys {
		all = append(all, paths(d, p.With(key))...)
	}
	for i := range min(v.Len, 4) {
		all = append(all, paths(d, p.With(i))...)
	}
	return all[:min(len(all), 256)]
}
