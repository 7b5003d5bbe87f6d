package steps

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/redact"
)

// The elements and attributes of a JUnit report that Jenkins reads: a suite for each path, in it a case for the build and one
// for each object. Of a case Jenkins shows one failure only, so that one holds all findings.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	ClassName string        `xml:"classname,attr"`
	Name      string        `xml:"name,attr"`
	Failure   *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(file string, secrets *redact.Redactor, checked []checkedPath) error {
	report := junitSuites{Name: "slipway validate"}
	for _, c := range checked {
		suite := newJUnitSuite(secrets, c)
		report.Tests += suite.Tests
		report.Failures += suite.Failures
		report.Suites = append(report.Suites, suite)
	}
	data, err := xml.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("junit report: %w", err)
	}
	if err = os.MkdirAll(filepath.Dir(file), 0o755); err == nil {
		err = os.WriteFile(file, append([]byte(xml.Header), append(data, '\n')...), 0o644)
	}
	if err != nil {
		return failure.New(failure.Usage, "name a file that can be written with --junit", "junit report: %w", err)
	}
	return nil
}

func newJUnitSuite(secrets *redact.Redactor, c checkedPath) junitSuite {
	findings := map[string][]Finding{}
	for _, f := range c.findings {
		findings[f.Object] = append(findings[f.Object], f)
	}
	suite := junitSuite{Name: c.path, Tests: 1 + len(c.objects)}
	for _, object := range append([]string{""}, c.objects...) {
		k := junitCase{ClassName: c.path, Name: cmp.Or(object, "build")}
		if found := findings[object]; len(found) > 0 {
			k.Failure = newJUnitFailure(secrets, found)
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, k)
	}
	return suite
}

func newJUnitFailure(secrets *redact.Redactor, findings []Finding) *junitFailure {
	first := findings[0]
	message := first.Message
	if len(findings) > 1 {
		message = fmt.Sprintf("%s (and %d more)", message, len(findings)-1)
	}
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "\n%s: %s: %s\n", f.place(), f.Rule, strings.TrimSpace(f.Field+" "+f.Message))
		if f.Fix != "" {
			fmt.Fprintf(&text, "fix: %s\n", f.Fix)
		}
	}
	return &junitFailure{Message: secrets.String(message), Type: first.Rule, Text: secrets.String(text.String())}
}
