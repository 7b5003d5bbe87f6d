package steps

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"slipway/steps/internal/failure"
)

// Doctor checks what a release will need, and changes nothing.
type Doctor struct {
	Path     string
	Apps     []string
	Selector string
	Project  string

	rules  rules
	git    gitOptions
	argocd argocdOptions
}

// Check is what came of one check. Application is empty where it is about none, Category that of a failed check.
type Check struct {
	Name        string      `json:"name"`
	Application string      `json:"application,omitempty"`
	Status      CheckStatus `json:"status"`
	Found       string      `json:"found"`
	Fix         string      `json:"fix,omitempty"`
	Category    string      `json:"category,omitempty"`
}

// CheckStatus is how a check has ended.
type CheckStatus string

// The ends of a check. Skipped is one that needs another one, which failed, or what was not named.
const (
	CheckOK      CheckStatus = "ok"
	CheckWarning CheckStatus = "warning"
	CheckFailed  CheckStatus = "failed"
	CheckSkipped CheckStatus = "skipped"
)

// doctorDetails is part of the result, and of the error.
type doctorDetails struct {
	Checks []Check `json:"checks"`
}

func newDoctor() *cli.Command {
	d := &Doctor{}
	flags := []cli.Flag{
		stringFlag(&d.Path, "path", "", "the directory of the kustomization, from the root of the repository"),
		stringSliceFlag(&d.Apps, "app", "an application, as NAME or NAMESPACE/NAME"),
		stringFlag(&d.Selector, "selector", "", "the labels of the applications, as in app=shop,tier!=db"),
		stringFlag(&d.Project, "project", "", "the project of the applications"),
	}
	flags = append(flags, d.rules.flags()...)
	flags = append(flags, d.git.flags("the repository", "main")...)
	flags = append(flags, d.argocd.flags()...)
	return step(d, &cli.Command{
		Name:  "doctor",
		Usage: "check everything that a release will need, and change nothing",
		Description: `Checks the repository (reached how, the branch, partial fetch, the right to push, what protects the branch, refs for approvals,
whether the path builds, the clock), Argo CD (reached how, the token, the clock, the account), and each application (found,
the rights to sync and to read logs, its repository, path and branch, who syncs it, the sync window). Prints a table with a fix
for each failure. What is not named is not checked, and what needs a check that failed is skipped.

Nothing is tried again. The right to push is found out by asking the server for an update that it must refuse at last: it consults
its permissions and hooks, and no ref moves. Always unchanged; a warning is no failure, and of several failures the most serious
one decides the exit code.`,
		Flags: flags,
	})
}

// Run makes all checks, one after the other.
func (d *Doctor) Run(ctx context.Context, env *Env) (Result, error) {
	c := &checkup{Doctor: d, env: env}
	if d.git.repo == "" && !d.wantsArgoCD(env) {
		return Result{}, failure.New(failure.Usage, "name the repository with --repo, or applications with --app", "there is nothing to check")
	}
	c.checkGit(ctx)
	if c.remote != nil {
		defer c.remote.Close()
	}
	c.checkArgoCD(ctx)
	c.print()
	details := doctorDetails{Checks: c.checks}
	if err := c.failed(); err != nil {
		return Result{}, &detailedError{error: err, details: details}
	}
	return Result{Step: "doctor", Outcome: Unchanged, Details: details}, nil
}

// wantsArgoCD leaves out a configuration of the argocd command, which may be there by chance.
func (d *Doctor) wantsArgoCD(env *Env) bool {
	server, _ := env.LookupEnv("ARGOCD_SERVER")
	opts, _ := env.LookupEnv(argocdOpts)
	return len(d.Apps) > 0 || d.Selector != "" || cmp.Or(d.argocd.server, server, opts) != ""
}

// failed is the error that the checks add up to: the one of the only failed check, or one that stands for several.
func (c *checkup) failed() error {
	failures := slices.Clone(c.failures)
	slices.SortStableFunc(failures, func(x, y checkFailure) int {
		return cmp.Compare(slices.Index(gravity, kindOf(x.err)), slices.Index(gravity, kindOf(y.err)))
	})
	var texts []string
	for _, f := range failures {
		texts = append(texts, f.what+": "+f.err.Error())
	}
	switch len(failures) {
	case 0:
		return nil
	case 1:
		return failure.New(kindOf(failures[0].err), failures[0].fix, "%s", texts[0])
	}
	return failure.New(kindOf(failures[0].err), "the table says for each what to do; first: "+failures[0].fix,
		"%d of %d checks failed: %s", len(failures), len(c.checks), strings.Join(texts, "; "))
}

// called is how people read the name of a check.
func called(name, application string) string {
	if application == "" {
		return name
	}
	return fmt.Sprintf("%s %s", application, name)
}
