package udiff_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/udiff"
)

func TestUnifiedShowsWhatChanged(t *testing.T) {
	tests := map[string]struct {
		before, after []byte
		want          string
	}{
		"one line": {[]byte("a\nb\nc\n"), []byte("a\nB\nc\n"), "--- a/x/y\n+++ b/x/y\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		"no final newline": {
			[]byte("a"), []byte("b"),
			"--- a/x/y\n+++ b/x/y\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n",
		},
		"new file":     {nil, []byte("a\n"), "--- /dev/null\n+++ b/x/y\n@@ -0,0 +1,1 @@\n+a\n"},
		"removed file": {[]byte("a\n"), nil, "--- a/x/y\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n"},
		"no change":    {[]byte("a\n"), []byte("a\n"), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, udiff.Unified("x/y", test.before, test.after)); diff != "" {
				t.Errorf("diff (-want +got):\n%s", diff)
			}
		})
	}
}
