package steps_test

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/steps"
)

// junitReport is what Jenkins makes of a report.
type junitReport struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Suites   []struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Cases    []struct {
			ClassName string `xml:"classname,attr"`
			Name      string `xml:"name,attr"`
			Failures  []struct {
				Message string `xml:"message,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func junit(t *testing.T, args ...string) (file string, report junitReport, findings []steps.Finding) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "reports", "slipway.xml")
	_, findings = validate(t, append(args, "--junit", file)...)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(data, &report); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return file, report, findings
}

func TestJUnitReportsConformToTheirSchema(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good/kustomization.yaml"), "resources: [all.yaml]\n")
	write(t, filepath.Join(dir, "good/all.yaml"), goodFile)
	write(t, filepath.Join(dir, "empty/kustomization.yaml"), "resources: []\n")
	write(t, filepath.Join(dir, "broken/kustomization.yaml"), "resources: ['missing <&>.yaml']\n")
	odd := "odd <&> \"'\x0b]]>"
	write(t, filepath.Join(dir, odd, "kustomization.yaml"), "resources: [all.yaml]\n")
	write(t, filepath.Join(dir, odd, "all.yaml"), `{apiVersion: v1, kind: ConfigMap, metadata: {name: "a<b>&\"']]>\tc"}, data: {n: 1, "<&>": 2}}`)
	const many = 50 // objects, with sixty findings each
	var text strings.Builder
	for i := range many {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\ndata:\n", i)
		for key := range 60 {
			fmt.Fprintf(&text, "  k%02d: 1\n", key)
		}
	}
	write(t, filepath.Join(dir, "many/kustomization.yaml"), "resources: [all.yaml]\n")
	write(t, filepath.Join(dir, "many/all.yaml"), text.String())

	var files []string
	for _, c := range []struct {
		path            string
		tests, failures int
		says            string
	}{
		{"good", 13, 0, ""},
		{"empty", 1, 0, ""},
		{"broken", 1, 1, "broken/kustomization.yaml:1: build: "},
		{odd, 2, 1, "odd <&> \"'\uFFFD]]>/all.yaml:1: "},
		{"many", 1 + many, many, "many/all.yaml:6: schema: data.k00 "},
	} {
		file, report, findings := junit(t, "--dir", dir, "--path", c.path)
		files = append(files, file)
		if len(report.Suites) != 1 || report.Tests != c.tests || report.Failures != c.failures {
			t.Fatalf("%s: %d tests and %d failures in %d suites: %v", c.path, report.Tests, report.Failures, len(report.Suites), findings)
		}
		var texts []string
		for _, k := range report.Suites[0].Cases {
			for _, f := range k.Failures {
				texts = append(texts, f.Text)
			}
		}
		if len(texts) != c.failures || c.failures > 0 && !strings.Contains(texts[0], c.says) {
			t.Errorf("%s: %d texts; want %q in\n%q", c.path, len(texts), c.says, texts[:min(1, len(texts))])
		}
	}
	all, report, findings := junit(t, "--dir", dir, "--all")
	files = append(files, all)
	if len(report.Suites) != 5 || report.Failures != 2+many || len(findings) < 60*many {
		t.Errorf("%d suites, %d failures, %d findings", len(report.Suites), report.Failures, len(findings))
	}
	assertConforms(t, files)
}

// assertConforms asks the validator of the Java that every Jenkins agent has.
func assertConforms(t *testing.T, files []string) {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	output, err := exec.Command(java, append([]string{"testdata/junit/Check.java", "testdata/junit/slipway.xsd"}, files...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestAJUnitCaseHasAllFindingsOfItsObject(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app/kustomization.yaml"), "resources: [app.yaml]\n")
	write(t, filepath.Join(dir, "app/app.yaml"),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata:\n  a: 1\n  b: 2\n")
	_, report, findings := junit(t, "--dir", dir, "--all")
	k := report.Suites[0].Cases[1]
	if k.ClassName != "app" || k.Name != "ConfigMap app" || len(k.Failures) != 1 || len(findings) != 2 {
		t.Fatalf("%+v\n%+v", k, findings)
	}
	if !strings.HasSuffix(k.Failures[0].Message, "(and 1 more)") {
		t.Errorf("message: %s", k.Failures[0].Message)
	}
	for _, f := range findings {
		for _, part := range []string{fmt.Sprintf("%s:%d: ", f.File, f.Line), f.Field, f.Message, "fix: " + f.Fix} {
			if !strings.Contains(k.Failures[0].Text, part) {
				t.Errorf("%q is not in\n%s", part, k.Failures[0].Text)
			}
		}
	}
}
