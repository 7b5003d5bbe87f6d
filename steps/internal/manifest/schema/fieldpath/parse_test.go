package fieldpath_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/manifest/schema/fieldpath"
)

func TestParseReadsWhatStringWrites(t *testing.T) {
	t.Parallel()
	for _, steps := range [][]any{
		nil,
		{"kind"},
		{"spec", "template", "spec", "containers", 0, "ports", 12, "containerPort"},
		{"metadata", "labels", "app.kubernetes.io/name"},
		{"data", `a "quoted" \ key]`, "b"},
		{"spec", "a\nb\x00", 3},
		{"", "", 0},
		{"7", "x-y_$z"},
	} {
		var path *fieldpath.Path
		for _, step := range steps {
			switch step := step.(type) {
			case string:
				path = path.Key(step)
			case int:
				path = path.Index(step)
			}
		}
		got, ok := fieldpath.Parse(path.String())
		if diff := cmp.Diff(steps, got); diff != "" || !ok {
			t.Errorf("%s: %v\n%s", path.String(), ok, diff)
		}
	}
}

func TestParseRefusesWhatIsNoPath(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a b", "a[", "a[x]", "a[-1]", `a["x]`, `a["\q"]`, "a..b", "a.", "a[99999999999999999999]"} {
		if got, ok := fieldpath.Parse(text); ok {
			t.Errorf("%s: %v", text, got)
		}
	}
}
