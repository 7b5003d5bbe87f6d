package steps

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

// checkup collects what the checks find, and what later ones need of it.
type checkup struct {
	*Doctor
	env      *Env
	checks   []Check
	failures []checkFailure

	application string // what the checks are about at the moment, if it is one
	remote      *gitrepo.Remote
	tree        *gitrepo.Tree // of the tip of the branch
}

type checkFailure struct {
	what string
	err  error
	fix  string
}

func (c *checkup) add(name string, status CheckStatus, fix, found string) {
	c.checks = append(c.checks, Check{Name: name, Application: c.application, Status: status, Found: oneLine(found), Fix: fix})
}

func (c *checkup) ok(name, found string, args ...any) {
	c.add(name, CheckOK, "", fmt.Sprintf(found, args...))
}

func (c *checkup) warn(name, fix, found string, args ...any) {
	c.add(name, CheckWarning, fix, fmt.Sprintf(found, args...))
}

func (c *checkup) fail(name string, err error) {
	row := rowOfKind(kindOf(err))
	fix := cmp.Or(failure.HintOf(err), row.pipeline)
	if row.code == ExitTransient {
		fix += "; if it stays so, check the address, whether TLS is spoken there, the name service, proxies and firewalls"
	}
	c.add(name, CheckFailed, fix, err.Error())
	c.checks[len(c.checks)-1].Category = row.name
	c.failures = append(c.failures, checkFailure{called(name, c.application), err, fix})
}

func (c *checkup) skip(why string, names ...string) {
	for _, name := range names {
		c.add(name, CheckSkipped, "", why)
	}
}

// print writes the table for people.
func (c *checkup) print() {
	table := tabwriter.NewWriter(c.env.Stderr, 0, 0, 2, ' ', 0)
	for _, check := range c.checks {
		status := strings.Replace(strings.Replace(string(check.Status), "warning", "warn", 1), "failed", "fail", 1)
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", status, called(check.Name, check.Application), oneText(check.Found))
		if check.Fix != "" {
			_, _ = fmt.Fprintf(table, "\t\tfix: %s\n", oneText(check.Fix))
		}
	}
	_ = table.Flush() // stderr is for people; the checks are in the JSON, too
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
