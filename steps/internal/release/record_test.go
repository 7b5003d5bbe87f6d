package release_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/release"
)

func TestRecordIsReadAsItWasWritten(t *testing.T) {
	want := release.Record{
		Repo: "https://git.example.com/gitops.git", Branch: "main", Release: "r1", Job: "job", Order: 7, Base: "b0", Commit: "c1",
		Outcome: "changed", Images: full.Paths, Revert: "c2",
	}
	file := filepath.Join(t.TempDir(), "deep", ".slipway", "release.json")
	for range 2 {
		if err := want.Write(file); err != nil {
			t.Fatal(err)
		}
		got, err := release.ReadRecord(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	}
}

func TestRecordOfNothingIsEmpty(t *testing.T) {
	got, err := release.ReadRecord(filepath.Join(t.TempDir(), "absent", "release.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(release.Record{}, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestRecordKeepsWhatOtherVersionsWrote(t *testing.T) {
	file := filepath.Join(t.TempDir(), "release.json")
	write(t, file, `{"version": 1, "release": "r1", "order": 3, "canary": {"id": "a1"}}`)
	r, err := release.ReadRecord(file)
	if err != nil {
		t.Fatal(err)
	}
	r.Order, r.Commit = 0, "c1"
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "canary": {
    "id": "a1"
  },
  "commit": "c1",
  "release": "r1",
  "version": 1
}
`
	if diff := cmp.Diff(want, read(t, file)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func TestRecordThatIsNoneIsInvalid(t *testing.T) {
	for name, content := range map[string]string{
		"nothing":          "",
		"no JSON":          "<html>",
		"half a file":      `{"version": 1, "rel`,
		"another document": `{"name": "x"}`,
		"a list":           `[]`,
		"null":             `null`,
		"another type":     `{"version": 1, "order": "many"}`,
		"a later version":  `{"version": 2}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "release.json")
			write(t, file, content)
			_, err := release.ReadRecord(file)
			if failure.KindOf(err) != failure.Invalid || !strings.Contains(failure.HintOf(err), "delete") {
				t.Errorf("error %v of kind %s with hint %q, want an invalid one that says to delete the file",
					err, failure.KindOf(err), failure.HintOf(err))
			}
		})
	}
}

func TestRecordHoldsNoPassword(t *testing.T) {
	for repo, want := range map[string]string{
		"https://user:secret@git.example.com/a.git":  "https://git.example.com/a.git",
		"https://secret@git.example.com/a.git":       "https://git.example.com/a.git",
		"https://user:se%cret@git.example.com/a.git": "https://git.example.com/a.git",
		"https://user:sec/ret@git.example.com/a.git": "https://git.example.com/a.git",
		"https://git.example.com/a.git":              "https://git.example.com/a.git",
		"ssh://git:secret@git.example.com:22/a.git":  "ssh://git@git.example.com:22/a.git",
		"git@git.example.com:a.git":                  "git@git.example.com:a.git",
		"/srv/git/a.git":                             "/srv/git/a.git",
	} {
		t.Run(repo, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "release.json")
			if err := (release.Record{Repo: repo}).Write(file); err != nil {
				t.Fatal(err)
			}
			var got struct{ Repo string }
			if err := json.Unmarshal([]byte(read(t, file)), &got); err != nil {
				t.Fatal(err)
			}
			if got.Repo != want {
				t.Errorf("repo %q, want %q", got.Repo, want)
			}
		})
	}
}

func TestRecordKeepsTheCheckoutClean(t *testing.T) {
	dir := t.TempDir()
	if err := (release.Record{}).Write(filepath.Join(dir, ".slipway", "release.json")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, ".slipway", ".gitignore")); got != "*\n" {
		t.Errorf(".gitignore %q, want one that ignores everything", got)
	}
	if err := (release.Record{}).Write(filepath.Join(dir, "mine", "release.json")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "mine"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("a directory of the user holds %v, want the record only", entries)
	}
}

func TestRecordThatCannotBeWrittenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "release.json")
	if err := os.Mkdir(file, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (release.Record{}).Write(file); err == nil {
		t.Fatal("a directory in place of the record was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left behind %v, want nothing", entries)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
