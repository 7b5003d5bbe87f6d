package steps_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps"
)

func TestRepeatableFlags(t *testing.T) {
	for name, test := range map[string]struct {
		variable string
		args     []string
		want     []string
	}{
		"a comma is part of the value":           {"", []string{"--word", "a,b", "--word=c"}, []string{"a,b", "c"}},
		"the variable has one value per line":    {"a,b\n\n  c\n", nil, []string{"a,b", "c"}},
		"the command line wins":                  {"a", []string{"--word", "b"}, []string{"b"}},
		"an empty variable is as good as none":   {"", nil, nil},
		"a value may bring several lines itself": {"", []string{"--word", "a\nb"}, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SLIPWAY_WORD", test.variable)
			got, code := steps.ParseWords(t.Context(), os.LookupEnv, test.args...)
			if diff := cmp.Diff(test.want, got); diff != "" || code != 0 {
				t.Errorf("exit code %d\n%s", code, diff)
			}
		})
	}
}
