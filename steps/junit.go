package steps

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"

	"slipway/steps/internal/failure"
)

// The elements and attributes of a JUnit report that Jenkins's junit step reads: a suite for each path, a case for each
// object, and a failure for each finding.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	ClassName string         `xml:"classname,attr"`
	Name      string         `xml:"name,attr"`
	Failures  []junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(file string, checked []checkedPath) error {
	report := junitSuites{}
	for _, c := range checked {
		names := append([]string{"build"}, c.objects...)
		suite := junitSuite{Name: c.path, Tests: len(names)}
		for i, name := range names {
			k := junitCase{ClassName: c.path, Name: name}
			for _, f := range c.findings {
				if f.Object == name || i == 0 && f.Object == "" {
					k.Failures = append(k.Failures, junitFailure{
						Message: f.Message, Type: f.Rule, Text: fmt.Sprintf("%s %s\n%s\nfix: %s", f.File, f.Field, f.Message, f.Fix),
					})
				}
			}
			if len(k.Failures) > 0 {
				suite.Failures++
			}
			suite.Cases = append(suite.Cases, k)
		}
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
