package kustomization_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/kustomization"
)

// TestSetGolden runs the cases of testdata/set: args, before.yaml, and after.yaml or a part of the error.
func TestSetGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/set/*")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			before := read(t, dir, "before.yaml")
			requests, options := arguments(t, read(t, dir, "args"))
			out, changes, err := kustomization.Set([]byte(before), requests, options)
			if want := strings.TrimSpace(readIfThere(t, dir, "error")); want != "" {
				if err == nil || !strings.Contains(err.Error(), want) || failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "" {
					t.Fatalf("error is %v, want one of kind invalid with a hint and %q", err, want)
				}
				if out != nil || changes != nil {
					t.Error("an output despite the error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(read(t, dir, "after.yaml"), string(out)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			if len(changes) == 0 {
				t.Error("no change is reported")
			}
			again, changes, err := kustomization.Set(out, requests, options)
			if err != nil || len(changes) != 0 || string(again) != string(out) {
				t.Errorf("second run: changes %v, error %v", changes, err)
			}
		})
	}
}

func arguments(t *testing.T, text string) (requests []kustomization.Request, o kustomization.Options) {
	t.Helper()
	for _, arg := range strings.Fields(text) {
		switch arg {
		case "--create":
			o.Create = true
		case "--keep-tag":
			o.KeepTag = true
		default:
			requests = append(requests, request(t, arg))
		}
	}
	return requests, o
}

func request(t *testing.T, arg string) kustomization.Request {
	t.Helper()
	r, err := kustomization.ParseRequest(arg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func readIfThere(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func TestSetReportsReferences(t *testing.T) {
	const file = "images:\n- name: app\n  newName: r/app\n  newTag: v1\n- name: b\n  newTag: 1.10\n"
	requests := []kustomization.Request{request(t, "app:v2"), request(t, "b:1.10"), request(t, "c=r/c:v1"), request(t, "app:v2")}
	_, got, err := kustomization.Set([]byte(file), requests, kustomization.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []kustomization.Change{
		{Name: "app", Old: "r/app:v1", New: "r/app:v2"},
		{Name: "b", Old: "b:1.10", New: "b:1.10"},
		{Name: "c", New: "r/c:v1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestSetRefusesTwoValuesForOneImage(t *testing.T) {
	requests := []kustomization.Request{request(t, "app:v1"), request(t, "app:v2")}
	_, _, err := kustomization.Set([]byte("images: []\n"), requests, kustomization.Options{Create: true})
	if failure.KindOf(err) != failure.Usage {
		t.Errorf("error is %v, want one of kind usage", err)
	}
}

func TestSetQuotesWhatOtherReadersWouldNotTakeForAString(t *testing.T) {
	quoted := []string{
		"1.10", "012", "1e3", "true", "null", "0x1F", "1_000", "2024-01-01", "on", "7284872", "706798e8", "0e12", "Y", "0o17", "20261122.1",
	}
	plain := []string{"1.2.3", "v1", "1.2.3-rc.1", "latest", "0.1.0_beta", "e5", "1a2b3c4", "20261122-1"}
	for _, tag := range append(quoted, plain...) {
		want := "images:\n- name: app\n  newTag: " + tag + "\n"
		for _, q := range quoted {
			if q == tag {
				want = "images:\n- name: app\n  newTag: \"" + tag + "\"\n"
			}
		}
		requests := []kustomization.Request{request(t, "app:"+tag)}
		out, _, err := kustomization.Set([]byte("images:\n- name: app\n  newTag: old\n"), requests, kustomization.Options{})
		if err != nil || string(out) != want {
			t.Errorf("tag %s: %v\n%s", tag, err, out)
		}
	}
}

func TestDiffComparesVersionsOfAFile(t *testing.T) {
	before := "images:\n- name: app\n  newTag: v1\n- name: gone\n  newTag: v1\n"
	after := "images:\n- name: new\n  newTag: v1\n- name: app\n  newTag: v2\n"
	tests := map[string]struct {
		before, after []byte
		want          []kustomization.Change
	}{
		"both are there": {[]byte(before), []byte(after), []kustomization.Change{
			{Name: "new", New: "new:v1"}, {Name: "app", Old: "app:v1", New: "app:v2"}, {Name: "gone", Old: "gone:v1"},
		}},
		"the file is new":     {nil, []byte("images: [{name: a, newTag: v1}]"), []kustomization.Change{{Name: "a", New: "a:v1"}}},
		"the file is removed": {[]byte("images: [{name: a, newTag: v1}]"), nil, []kustomization.Change{{Name: "a", Old: "a:v1"}}},
		"nothing changed":     {[]byte(before), []byte("# moved\n" + before), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := kustomization.Diff(test.before, test.after)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v, changes (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestFindPicksTheOneFile(t *testing.T) {
	if name, err := kustomization.Find([]string{"a.yaml", "kustomization.yml"}); name != "kustomization.yml" || err != nil {
		t.Errorf("found %q, %v", name, err)
	}
	for _, names := range [][]string{nil, {"kustomization.yaml", "Kustomization"}} {
		if _, err := kustomization.Find(names); failure.KindOf(err) != failure.Invalid {
			t.Errorf("names %v: error is %v, want one of kind invalid", names, err)
		}
	}
	if !kustomization.IsFile("a/b/Kustomization") || kustomization.IsFile("a/kustomization.json") {
		t.Error("a path is judged by its base name")
	}
}
