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

func TestAFlagWithoutItsOptionalValueMeansTheUsualOne(t *testing.T) {
	for name, test := range map[string]struct {
		variable string
		args     []string
		like     string
		flag     bool
		code     int
	}{
		"without the flag there is none":         {},
		"alone":                                  {args: []string{"--like"}, like: "alone"},
		"alone before another flag":              {args: []string{"--like", "--flag"}, like: "alone", flag: true},
		"with a value after it":                  {args: []string{"--like", "HEAD~1", "--flag"}, like: "HEAD~1", flag: true},
		"with one dash":                          {args: []string{"-like", "HEAD~1", "-flag"}, like: "HEAD~1", flag: true},
		"with a value that is part of it":        {args: []string{"--like=a=b", "--flag"}, like: "a=b", flag: true},
		"the variable has a value":               {variable: "main", like: "main"},
		"the variable says yes":                  {variable: "true", like: "alone"},
		"the variable says no":                   {variable: "false"},
		"the command line wins":                  {variable: "main", args: []string{"--like"}, like: "alone"},
		"an empty value is no value":             {args: []string{"--like="}, code: steps.ExitUsage},
		"an empty argument is none":              {args: []string{"--like", ""}, like: "alone", code: steps.ExitUsage},
		"a second argument belongs to no flag":   {args: []string{"--like", "a", "b"}, like: "a", code: steps.ExitUsage},
		"an argument after another flag is none": {args: []string{"--flag", "a", "--like"}, flag: true, code: steps.ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SLIPWAY_LIKE", test.variable)
			like, flag, code := steps.ParseOptional(t.Context(), os.LookupEnv, test.args...)
			if like != test.like || flag != test.flag || code != test.code {
				t.Errorf("value %q, flag %v, exit code %d", like, flag, code)
			}
		})
	}
}
