package manifest_test

import (
	"context"
	"errors"
	"testing"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest"
)

func TestATraceTellsWhetherAnotherSourceRendersTheSame(t *testing.T) {
	t.Parallel()
	base := func(more ...string) map[string]string {
		all := map[string]string{
			"app/kustomization.yaml": "resources: [a.yaml, ../base]\n", "app/a.yaml": config("a"),
			"base/kustomization.yaml": "resources: [b.yaml]\n", "base/b.yaml": config("b"), "unused.yaml": "x",
		}
		for i := 0; i < len(more); i += 2 {
			if all[more[i]] = more[i+1]; more[i+1] == "" {
				delete(all, more[i])
			}
		}
		return all
	}
	trace := manifest.NewTrace(files(t, base()))
	if _, err := manifest.Build(t.Context(), trace, "app", manifest.Limits{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		other map[string]string
		want  bool
	}{
		{"the same files", base(), true},
		{"another file that is not used", base("unused.yaml", "y", "new.yaml", "z", "app/new.yaml", "z"), true},
		{"another content", base("base/b.yaml", config("c")), false},
		{"a file that is not there", base("base/b.yaml", ""), false},
		{"a second kustomization", base("base/kustomization.yml", "resources: []\n"), false},
		{"a directory in the place of a file", base("app/a.yaml", "", "app/a.yaml/x", "y"), false},
		{"nothing", map[string]string{"x": "y"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			same, err := trace.Same(t.Context(), files(t, tt.other))
			if same != tt.want || err != nil {
				t.Errorf("same %v, error %v", same, err)
			}
		})
	}
	lost := failure.New(failure.Usage, "fetch it", "not there")
	if _, err := trace.Same(t.Context(), failing{files(t, base()), lost}); !errors.Is(err, lost) {
		t.Errorf("an error of the other source is %v", err)
	}
}

func config(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

// failing is a source that cannot be read.
type failing struct {
	manifest.Source
	err error
}

func (f failing) ReadFile(context.Context, string) ([]byte, error) { return nil, f.err }
