package yamledit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/yamledit"
)

const (
	helmValues = `# Values of the search chart.
replicaCount: 2 # per zone

image:
    repository: registry.example.com/shop/search
    tag: "0.14.2"   # bumped by the pipeline
    pullPolicy: IfNotPresent

args: [--level, info, "--größe=5", v1]
größe: {ümlaut: "ö", tag: v1}
metrics: {enabled: true, ratio: 0.5}
`
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  annotations:
    example.com/build.number: "41"
spec:
  replicas: 3
  template:
    spec:
      initContainers:
      - name: init
        image: registry.example.com/init:1.0 # {"$imagepolicy": "flux-system:init"}
      containers:
      - image: registry.example.com/proxy:1.0
        name: proxy
      - name: app
        image: registry.example.com/app:1.0 # {"$imagepolicy": "flux-system:app"}
`
	application = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: shop
spec:
  source:
    kustomize:
      images:
        - registry.example.com/shop:v1
        - registry.example.com/cart:v1
    helm:
      parameters:
        - name: image.repository
          value: registry.example.com/shop
        - name: image.tag
          value: 'v1'
          forceString: true
`
	jsonValues = "{\n  \"image\": {\"tag\": \"v1\"},\n  \"replicas\": 3,\n  \"list\": [{\"name\": \"a\", \"on\": false}]\n}"
	jsonPatch  = "- op: replace\n  path: /spec/replicas\n  value: 3\n- op: remove\n  path: /spec/x\n"
)

func TestAssignChangesOneValue(t *testing.T) {
	tests := map[string]struct {
		file     string
		document int
		query    string
		value    string
		old, new string // the one place that differs
	}{
		"a tag among comments":             {helmValues, 0, "image.tag", "0.15.0", `"0.14.2"   #`, `"0.15.0"   #`},
		"a number":                         {helmValues, 0, "replicaCount", "12", "Count: 2 #", "Count: 12 #"},
		"a boolean in flow style":          {helmValues, 0, "metrics.enabled", "false", "true", "false"},
		"a fraction":                       {helmValues, 0, "metrics.ratio", "0.25", "0.5", "0.25"},
		"a whole number for a fraction":    {helmValues, 0, "metrics.ratio", "1", "0.5", "1"},
		"an item of a list in flow style":  {helmValues, 0, "args[3]", "v2", ", v1]", ", v2]"},
		"a value behind a unicode key":     {helmValues, 0, "größe.tag", "v2", "tag: v1", "tag: v2"},
		"text that would read as a number": {helmValues, 0, "image.pullPolicy", "1.10", "IfNotPresent", `"1.10"`},
		"a container":                      {deployment, 0, "spec.template.spec.containers[name=app].image", "registry.example.com/app:1.1", "/app:1.0", "/app:1.1"},
		"an init container":                {deployment, 0, "spec.template.spec.initContainers[name=init].image", "registry.example.com/init:2", "/init:1.0", "/init:2"},
		"a key with dots":                  {deployment, 0, `metadata.annotations."example.com/build.number"`, "42", `"41"`, `"42"`},
		"an image of an Application":       {application, 0, "spec.source.kustomize.images[0]", "registry.example.com/shop:v2", "/shop:v1", "/shop:v2"},
		"a parameter of an Application":    {application, 0, "spec.source.helm.parameters[name=image.tag].value", "1.10", "'v1'", "'1.10'"},
		"CRLF":                             {strings.ReplaceAll(helmValues, "\n", "\r\n"), 0, "image.tag", "v2", `"0.14.2"`, `"v2"`},
		"a byte order mark":                {"\ufeff" + helmValues, 0, "image.tag", "v2", `"0.14.2"`, `"v2"`},
		"no final newline":                 {strings.TrimSpace(application), 0, "spec.source.helm.parameters[1].forceString", "false", "true", "false"},
		"the second document":              {helmValues + "---\n" + deployment, 1, "spec.replicas", "4", "replicas: 3", "replicas: 4"},
		"the first document":               {helmValues + "---\n" + deployment, 0, "image.tag", "v2", `"0.14.2"`, `"v2"`},
		"documents with nothing between":   {"---\n# c\n---\n" + application + "...\n---\n---\n" + deployment, 1, "spec.replicas", "4", "replicas: 3", "replicas: 4"},
		"documents with CRLF and a mark":   {"\ufeff" + strings.ReplaceAll("a: 1\n--- # é\nb: v1\n", "\n", "\r\n"), 1, "b", "v2", "v1", "v2"},
		"JSON":                             {jsonValues, 0, "image.tag", "latest", `"v1"`, `"latest"`},
		"a number in JSON":                 {jsonValues, 0, "replicas", "0", ": 3", ": 0"},
		"a boolean in JSON":                {jsonValues, 0, "list[name=a].on", "true", "false", "true"},
		"an item of a list at the top":     {jsonPatch, 0, "[path=/spec/replicas].value", "5", "value: 3", "value: 5"},
		"a null becomes text":              {"a: ~\n", 0, "a", "3", "~", `"3"`},
		"an octal number":                  {"mode: 0o644\n", 0, "mode", "420", "0o644", "420"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if strings.Count(test.file, test.old) != 1 {
				t.Fatalf("%q is there %d times", test.old, strings.Count(test.file, test.old))
			}
			want := strings.Replace(test.file, test.old, test.new, 1)
			for _, before := range []string{test.file, want} {
				d, p := match(t, before, test.document, test.query)
				if err := d.Assign(p, test.value); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, string(d.Bytes())); diff != "" {
					t.Errorf("file (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// match returns the document and the path that a query leads to.
func match(t *testing.T, file string, document int, query string) (*yamledit.Document, path) {
	t.Helper()
	q, rest, err := yamledit.ParseQuery(query)
	if err != nil || rest != "" {
		t.Fatal(err, rest)
	}
	all, err := yamledit.ParseAll([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	found := all[document].Match(q)
	if len(found) != 1 {
		t.Fatalf("%s leads to %v", query, found)
	}
	return all[document], found[0]
}

func TestAssignRefusesWhatWouldChangeTheKind(t *testing.T) {
	tests := map[string]struct{ file, value, want string }{
		"text for an integer":          {"a: 3\n", "three", `line 1: a is the integer 3, and "three" cannot be written as one`},
		"a fraction for an integer":    {"a: 3\n", "3.5", "cannot be written as one"},
		"a number that ends in zero":   {"a: 1.10\n", "1.20", "a is the number 1.10"},
		"the same number":              {"a: 1.10\n", "1.10", "cannot be written as one"},
		"a version for a number":       {"a: 1.1\n", "1.1.0", "cannot be written as one"},
		"an exponent":                  {"a: 1.5\n", "1e3", "cannot be written as one"},
		"a number with too many digit": {"a: 1\n", "12345678901234567", "cannot be written as one"},
		"minus zero":                   {"a: 1\n", "-0", "cannot be written as one"},
		"text for a boolean":           {"a: true\n", "yes", "a is the boolean true"},
		"a number for a boolean":       {"a: true\n", "1", "a is the boolean true"},
		"a boolean of YAML 1.1":        {"a: on\n", "off", "a is on, which is a string to some YAML readers only"},
		"a date":                       {"a: 2026-01-01\n", "2026-01-02", "a is 2026-01-01, which is a string to some"},
		"a tag":                        {"a: !!int 3\n", "4", "line 1: a has the tag !!int"},
		"an anchor in use":             {"b: 1\n---\na: &x 3\nb: *x\n", "4", "line 3: anchor &x is used elsewhere"},
		"block text":                   {"a: |\n  x\n", "y", "line 1: block text"},
		"a mapping":                    {"a: {b: c}\n", "y", "line 1: a is not a single value"},
		"a missing key":                {"b: 1\n", "y", "there is no a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all, err := yamledit.ParseAll([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			d := all[len(all)-1]
			err = d.Assign(path{"a"}, test.value)
			if err == nil || !strings.Contains(err.Error(), test.want) || failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "" {
				t.Errorf("error is %v, want one of kind invalid with a hint and %q", err, test.want)
			}
			if string(d.Bytes()) != test.file {
				t.Errorf("file changed:\n%s", d.Bytes())
			}
		})
	}
}

func TestCreateAddsKeys(t *testing.T) {
	tests := map[string]struct {
		file     string
		document int
		path     path
		want     string
	}{
		"one":                           {"a:\n  b: 1\n# c\n", 0, path{"a", "c"}, "a:\n  b: 1\n  c: \"1\"\n# c\n"},
		"several":                       {"a:\n  b: 1\n", 0, path{"a", "x.y", "on", "z"}, "a:\n  b: 1\n  x.y:\n    \"on\":\n      z: \"1\"\n"},
		"several in flow style":         {"a: {}\n", 0, path{"a", "x", "y"}, "a: {x: {\"y\": \"1\"}}\n"},
		"in JSON":                       {"{}", 0, path{"x", "y"}, `{"x": {"y": "1"}}`},
		"before the next document":      {"a: 1\n\n# c\n---\nb: 2\n", 0, path{"c"}, "a: 1\nc: \"1\"\n\n# c\n---\nb: 2\n"},
		"after a document's block text": {"a: |+\n  x\n\n--- # d\nb: 2\n", 0, path{"c"}, "a: |+\n  x\n\nc: \"1\"\n--- # d\nb: 2\n"},
		"before an end mark":            {"a: 1\n---\nb: 2\n...\n---\nc: 3\n", 1, path{"c"}, "a: 1\n---\nb: 2\nc: \"1\"\n...\n---\nc: 3\n"},
		"in an item of a list":          {"a:\n- b: 1\r\n  c: 2\r\n- d\r\n", 0, path{"a", 0, "e", "f"}, "a:\n- b: 1\r\n  c: 2\r\n  e:\r\n    f: \"1\"\r\n- d\r\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all, err := yamledit.ParseAll([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			d := all[test.document]
			if err = d.Create(test.path, "1"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(d.Bytes())); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDocumentsOfAFileShareIt(t *testing.T) {
	all, err := yamledit.ParseAll([]byte("a: v1\n---\n- a: v1\n---\na: v1\n"))
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for i, p := range []path{{"a"}, {0, "a"}, {"a"}} {
		if err = all[i].Set(p, "longer"); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := string(all[0].Bytes()), "a: longer\n---\n- a: longer\n---\na: longer\n"; got != want {
		t.Errorf("file is %q, want %q", got, want)
	}
	if line := all[2].Look(path{"a"}).Line; line != 5 {
		t.Errorf("line %d, want that of the file", line)
	}
}

func TestParseAllRefusesWhatReadersDisagreeOn(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":                         {"---\n# c\n---\n", "no YAML document"},
		"a duplicate key further down":    {"a: 1\n---\nb: 1\nb: 2\n", `line 4: key "b" is already on line 3`},
		"an anchor of another document":   {"a: &x 1\n---\nb: *x\n", "line 3: anchor &x is in another document"},
		"a syntax error further down":     {"a: 1\n---\nb: [\n", "line"},
		"documents that are a bomb apart": {strings.Repeat("---\na: &a ["+strings.Repeat("x,", 999)+"]\nb: &b [*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b]\n", 20), "more than 500000 nodes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := yamledit.ParseAll([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "" {
				t.Errorf("error is %v, want one of kind invalid with a hint and %q", err, test.want)
			}
		})
	}
}

func TestMatchFindsAllThatAQueryLeadsTo(t *testing.T) {
	const file = "a:\n- {n: x, m: 1, v: p}\n- {n: x, m: 2}\n- {n: [x]}\n- x\nb.c: {'d]=': e}\n"
	tests := map[string][]path{
		"a[n=x].n":         {{"a", 0, "n"}, {"a", 1, "n"}},
		"a[n=x].v":         {{"a", 0, "v"}},
		"a[n=x,m=2]":       {{"a", 1}},
		"a[n='x',\"m\"=2]": {{"a", 1}},
		"a[3]":             {{"a", 3}},
		"a[4]":             nil,
		"a[n=y].n":         nil,
		"a.n":              nil,
		"b.c":              nil,
		"'b.c'.\"d]=\"":    {{"b.c", "d]="}},
		"[0]":              nil,
	}
	all, err := yamledit.ParseAll([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range tests {
		q, rest, err := yamledit.ParseQuery(query + "=value")
		if err != nil || rest != "=value" {
			t.Errorf("%s: %v, rest %q", query, err, rest)
		}
		if diff := cmp.Diff(want, all[0].Match(q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestParseQueryRefusesWhatIsNoPath(t *testing.T) {
	for _, text := range []string{
		"", ".", "a.", "a..b", "a[", "a[]", "a[0", "a[-1]", "a[n]", "a[n=]", "a[n=x", "a[n=x,]", "a[=x]", `"a`, `""`, "a.[0]", "a[n=x]]b", " a", "a['n=x']", "=",
	} {
		_, rest, err := yamledit.ParseQuery(text)
		if err == nil && rest == "" {
			t.Errorf("%q is a query", text)
		}
		if err != nil && (failure.KindOf(err) != failure.Usage || failure.HintOf(err) == "") {
			t.Errorf("%q: error is %v, want one of kind usage with a hint", text, err)
		}
	}
}
