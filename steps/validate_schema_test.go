package steps_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6" //nolint:depguard // the schemas of manifest are walked; the published one is for tools like this

	"slipway/steps"
)

// publishedSchema is what --schema prints, as JSON and compiled; compiling checks it against the schema of schemas.
func publishedSchema(t *testing.T) (map[string]any, *jsonschema.Schema) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	none := func(string) (string, bool) { return "", false }
	if code := steps.Main(context.Background(), []string{"slipway", "validate", "--schema"}, nil, &stdout, &stderr, none); code != steps.ExitOK {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	document, err := jsonschema.UnmarshalJSON(&stdout)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("validate.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("validate.json")
	if err != nil {
		t.Fatal(err)
	}
	if schema.DraftVersion != 2020 {
		t.Errorf("draft %d", schema.DraftVersion)
	}
	return document.(map[string]any), schema
}

// outputs is what validate prints in calls of every kind.
func outputs(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good/kustomization.yaml"), "resources: [all.yaml]\n")
	write(t, filepath.Join(dir, "good/all.yaml"), goodFile)
	write(t, filepath.Join(dir, "empty/kustomization.yaml"), "resources: []\n")
	write(t, filepath.Join(dir, "broken/kustomization.yaml"), "resources: [missing.yaml]\n")
	for _, m := range mistakes {
		path := filepath.Join(dir, "bad", strings.ReplaceAll(m.name, " ", "-"))
		write(t, filepath.Join(path, "kustomization.yaml"), "resources: [all.yaml]\n")
		write(t, filepath.Join(path, "all.yaml"), strings.Replace(goodFile, m.from, m.to, 1))
	}
	checkout := changedCheckout(t)
	calls := map[string][]string{
		"changes":          {"--dir", checkout, "--all", "--diff"},
		"no changes":       {"--dir", checkout, "--path", "same", "--diff", "HEAD"},
		"a good path":      {"--dir", dir, "--path", "good"},
		"no objects":       {"--dir", dir, "--path", "empty"},
		"findings":         {"--dir", dir, "--all"},
		"no build":         {"--dir", dir, "--path", "broken"},
		"no path":          {"--dir", dir},
		"an unknown flag":  {"--nonsense"},
		"an argument":      {"nonsense"},
		"an empty format":  {"--dir", dir, "--path", "good", "--log-format", "x"},
		"a missing --dir":  {"--dir", filepath.Join(dir, "nowhere"), "--all"},
		"an old version":   {"--dir", dir, "--path", "good", "--kube-version", "1.2"},
		"a path elsewhere": {"--dir", dir, "--path", "../elsewhere"},
	}
	printed := map[string]string{}
	for name, args := range calls {
		printed[name], _ = validate(t, args...)
	}
	return printed
}

// changedCheckout is a checkout whose edits add, remove and change objects, some in what must not change.
func changedCheckout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "same/kustomization.yaml"), "resources: []\n")
	write(t, filepath.Join(dir, "app/kustomization.yaml"), "resources: [all.yaml]\nconfigMapGenerator: [{name: made, literals: [a=b]}]\n")
	write(t, filepath.Join(dir, "app/all.yaml"), goodFile)
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "one"}} {
		git := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Test", "-c", "user.email=test@example.com"}, args...)...)
		git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
		if output, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, output)
		}
	}
	write(t, filepath.Join(dir, "app/kustomization.yaml"), "resources: [all.yaml]\nconfigMapGenerator: [{name: made, literals: [a=c]}]\n")
	write(t, filepath.Join(dir, "app/all.yaml"), strings.NewReplacer(
		"web:1.0", "web:2.0", "replicas: 2", "replicas: 3", "  level: \"3\"\n", "  debug: \"true\"\n", "name: sidecar", "name: proxy",
		"[{name: a, image: a:1}]", "[{name: a, image: a:1, tty: true, args: [b]}]", "name: migrate", "name: seed",
		"  selector: {matchLabels: {app: web}}\n  replicas", "  selector: {matchLabels: {app: web, tier: a}}\n  replicas",
		"metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: a}}",
	).Replace(goodFile))
	return dir
}

func TestOutputConformsToThePublishedSchema(t *testing.T) {
	_, schema := publishedSchema(t)
	for name, document := range outputs(t) {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v\n%s", name, err, document)
		}
		for _, object := range objectsIn(value) {
			object["added"] = "later"
			if schema.Validate(value) == nil {
				t.Errorf("%s: the schema says nothing of %v", name, object)
			}
			delete(object, "added")
		}
	}
}

func objectsIn(value any) (found []map[string]any) {
	switch v := value.(type) {
	case map[string]any:
		found = append(found, v)
		for _, inner := range v {
			found = append(found, objectsIn(inner)...)
		}
	case []any:
		for _, inner := range v[:min(len(v), 3)] {
			found = append(found, objectsIn(inner)...)
		}
	}
	return found
}

func TestThePublishedSchemaRefusesWhatIsNoOutput(t *testing.T) {
	_, schema := publishedSchema(t)
	for _, document := range []string{
		`{}`,
		`{"step":"validate"}`,
		`{"step":"revert","outcome":"unchanged","details":{"paths":1,"objects":0,"findings":[]}}`,
		`{"step":"validate","outcome":"changed","details":{"paths":1,"objects":0,"findings":[]}}`,
		`{"step":"validate","outcome":"unchanged","details":{"paths":1,"objects":0,"findings":[{"path":"a","rule":"build","message":"b"}]}}`,
		`{"step":"validate","error":{"category":"unknown","message":"a","hint":"b","retryable":false}}`,
		`{"step":"validate","error":{"category":"invalid","message":"a","hint":"b","retryable":false,"details":{"paths":1,"objects":0,"findings":[]}}}`,
		`{"step":"validate","error":{"category":"invalid","message":"a","hint":"b","retryable":false,
		  "details":{"paths":1,"objects":0,"findings":[{"path":"a","rule":"build","line":3,"message":"b"}]}}}`,
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(value) == nil {
			t.Errorf("accepted: %s", document)
		}
	}
}

func TestThePublishedSchemaDescribesEveryField(t *testing.T) {
	document, _ := publishedSchema(t)
	definitions := document["$defs"].(map[string]any)
	for name, value := range map[string]any{"finding": steps.Finding{}, "change": steps.ObjectChange{}, "fieldChange": steps.FieldChange{}} {
		var want []string
		for field := range reflect.TypeOf(value).Fields() {
			tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			want = append(want, tag)
		}
		properties := definitions[name].(map[string]any)["properties"].(map[string]any)
		for _, field := range want {
			if properties[field] == nil {
				t.Errorf("%s: %s is not described", name, field)
			}
		}
		for field := range properties {
			if !slices.Contains(want, field) {
				t.Errorf("%s: there is no %s", name, field)
			}
		}
	}
	for _, object := range objectsIn(document) {
		properties, _ := object["properties"].(map[string]any)
		for name, property := range properties {
			p := property.(map[string]any)
			if ref, ok := p["$ref"].(string); ok && p["title"] == nil {
				p = definitions[filepath.Base(ref)].(map[string]any)
			}
			narrows := p["title"] == nil && (p["minItems"] != nil || p["maxItems"] != nil)
			if !narrows && (p["title"] == nil || p["description"] == nil) {
				text, _ := json.Marshal(p)
				t.Errorf("%s has no title or no description: %s", name, text)
			}
		}
	}
}
