package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages returns the texts that people read or copy, by file.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (path == "gitops-repo" || path == "testdata"):
			return fs.SkipDir
		case name == "README.md" || name == "Jenkinsfile" || name == "pre-push":
			text, err := os.ReadFile(path)
			found[path] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var (
	command = regexp.MustCompile(`\bslipway ((?:await-approval )?[a-z][a-z-]*)((?: +(?:\\\n *)?[^\s` + "`" + `;|]+)*)`)
	flag    = regexp.MustCompile(`--[a-z-]+`)
	link    = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

func TestEachFlagIsOneOfItsStep(t *testing.T) {
	t.Parallel()
	help := map[string]string{}
	for file, text := range pages(t) {
		for _, found := range command.FindAllStringSubmatch(text, -1) {
			step, flags := found[1], flag.FindAllString(found[0], -1)
			if len(flags) == 0 {
				continue
			}
			if help[step] == "" {
				got := run(t, "", os.Environ(), "slipway", append(strings.Fields(step), "--help")...)
				if got.code != 0 {
					t.Errorf("%s: slipway has no step %s", file, step)
					continue
				}
				help[step] = got.stdout
			}
			for _, name := range flags {
				if !regexp.MustCompile(`(?m)^ +` + name + `\b`).MatchString(help[step]) {
					t.Errorf("%s: slipway %s has no flag %s", file, step, name)
				}
			}
		}
	}
}

func TestEachDirectorySaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	found := pages(t)
	for file, text := range found {
		if name := filepath.Base(file); name == "Jenkinsfile" || name == "pre-push" {
			if found[filepath.Join(filepath.Dir(file), "README.md")] == "" {
				t.Errorf("%s: there is no README.md beside it", file)
			}
		}
		for _, to := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), to[1])); err != nil {
				t.Errorf("%s: a link that leads nowhere: %v", file, err)
			}
		}
	}
}
