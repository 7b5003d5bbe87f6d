//go:build release

package release_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// absent finds the packages and functions that an impact statement says are not in the binary.
var absent = regexp.MustCompile(`\b(?:github\.com|google\.golang\.org|golang\.org|k8s\.io)/[\w./-]*\w`)

// A statement of the VEX note is worth what its evidence is: the version that it is about is in the binary, and the code that it
// calls absent has no symbol there.
func TestTheVEXNoteIsTrueOfTheBinary(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "slipway")
	if _, err := run([]string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", binary, ".."); err != nil {
		t.Fatal(err)
	}
	symbols, err := run(nil, "go", "tool", "nm", binary)
	if err != nil {
		t.Fatal(err)
	}
	modules := linked(t, binary)
	for _, s := range statements(t) {
		if s.Status != "not_affected" {
			continue
		}
		for _, product := range s.Products {
			for _, c := range product.Subcomponents {
				module := strings.Replace(strings.TrimPrefix(c.ID, "pkg:golang/"), "@", " ", 1)
				if !slices.Contains(modules, module) {
					t.Errorf("%s is about %s, which is not in the binary: the statement may be dropped", s.Vulnerability.Name, module)
				}
			}
		}
		names := absent.FindAllString(s.Impact, -1)
		if len(names) == 0 {
			t.Errorf("%s: the impact statement does not say which code is absent", s.Vulnerability.Name)
		}
		for _, name := range names {
			if regexp.MustCompile(` [Tt] ` + regexp.QuoteMeta(name) + `\b`).MatchString(symbols) {
				t.Errorf("%s: %s is in the binary", s.Vulnerability.Name, name)
			}
		}
	}
}

type statement struct {
	Vulnerability struct{ Name string }
	Products      []struct {
		Subcomponents []struct {
			ID string `json:"@id"`
		}
	}
	Status string
	Impact string `json:"impact_statement"`
}

func statements(t *testing.T) []statement {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "agent-image", "slipway.openvex.json"))
	if err != nil {
		t.Fatal(err)
	}
	var note struct{ Statements []statement }
	if err := json.Unmarshal(data, &note); err != nil {
		t.Fatal(err)
	}
	return note.Statements
}
