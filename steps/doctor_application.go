package steps

import (
	"context"
	"fmt"

	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

var applicationChecks = []string{"application", "sync-right", "logs-right", "source", "policy", "window"}

func (c *checkup) checkApplications(ctx context.Context, client *argocd.Client) {
	refs, err := c.applications(ctx, client)
	if err != nil {
		c.fail("application", err)
		c.skip("it needs the application", applicationChecks[1:]...)
		return
	}
	for _, ref := range refs {
		c.application = ref.String()
		c.checkApplication(ctx, client, ref)
	}
	c.application = ""
}

func (c *checkup) applications(ctx context.Context, client *argocd.Client) ([]argocd.Ref, error) {
	named := ArgoCDSync{Apps: c.Apps, Project: c.Project}
	refs, err := named.refs(ctx, c.env, client)
	if err != nil || c.Selector == "" {
		return refs, err
	}
	listed, err := client.List(ctx, c.Selector, c.Project)
	if err == nil && len(listed) == 0 {
		err = failure.New(failure.Usage, "check --selector, --project, and what the account may get", "no application has the labels %s", c.Selector)
	}
	return append(refs, listed...), err
}

func (c *checkup) checkApplication(ctx context.Context, client *argocd.Client, ref argocd.Ref) {
	app, err := c.get(ctx, client, ref)
	if err == nil && app.Deleting {
		err = failure.New(failure.Conflict, "", "it is being deleted")
	}
	if err != nil {
		c.fail("application", err)
		c.skip("it needs the application", applicationChecks[1:]...)
		return
	}
	found := fmt.Sprintf("in project %s, %s and %s", app.Project, app.Sync.Status, app.Health)
	if app.Health == "Degraded" {
		c.warn("application", "cure it first: a release cannot tell its own failure from this one", "%s", found)
	} else {
		c.ok("application", "%s", found)
	}
	ref.Project = app.Project
	c.checkRights(ctx, client, ref)
	c.checkSource(ctx, app)
	c.checkPolicy(app)
	c.checkWindow(ctx, client, ref)
}

// get tells a wrong project from an application that is not there or must not be seen.
func (c *checkup) get(ctx context.Context, client *argocd.Client, ref argocd.Ref) (*argocd.Application, error) {
	app, err := client.Get(ctx, ref)
	if err == nil || failure.KindOf(err) != failure.Usage && failure.KindOf(err) != failure.Denied {
		return app, err
	}
	if own := client.RoleOf(); own != "" && own != ref.Project && failure.KindOf(err) == failure.Denied {
		return nil, failure.New(failure.Denied, "use a token of the application's project, whose role has get and sync",
			"%w; the token is that of a role of project %s, which reaches no other project", err, own)
	}
	if ref.Project == "" {
		return nil, err
	}
	ref.Project = ""
	if app, elsewhere := client.Get(ctx, ref); elsewhere == nil {
		return nil, failure.New(failure.Usage, "call it with --project "+app.Project, "it is in project %s, not in %s", app.Project, c.Project)
	}
	return nil, err
}

func (c *checkup) checkRights(ctx context.Context, client *argocd.Client, ref argocd.Ref) {
	policy := func(resource, action string) string {
		return fmt.Sprintf("grant it by a policy such as: p, %s, %s, %s, %s/*, allow", client.User(), resource, action, ref.Project)
	}
	may, err := client.May(ctx, ref, "applications", "sync")
	if err == nil && !may {
		err = failure.New(failure.Denied, policy("applications", "sync"), "account %s must not sync it", client.User())
	}
	if err != nil {
		c.fail("sync-right", err)
	} else {
		c.ok("sync-right", "account %s may sync it", client.User())
	}
	may, err = client.May(ctx, ref, "logs", "get")
	switch {
	case err != nil:
		c.fail("logs-right", err)
	case !may:
		c.warn("logs-right", policy("logs", "get"), "account %s must not read logs of its pods: a failure is explained without them", client.User())
	default:
		c.ok("logs-right", "account %s may read logs of its pods", client.User())
	}
}

func (c *checkup) checkPolicy(app *argocd.Application) {
	switch {
	case app.Hydrated:
		c.fail("policy", failure.New(failure.Conflict, "let an application without a source hydrator follow the branch",
			"its manifests are made by the source hydrator, so that no commit of it is the released one"))
	case app.Automated:
		c.ok("policy", "it syncs by itself: a release waits for it to do so")
	default:
		c.ok("policy", "it is synced by hand: a release starts the sync")
	}
}

func (c *checkup) checkWindow(ctx context.Context, client *argocd.Client, ref argocd.Ref) {
	windows, open, err := client.Windows(ctx, ref)
	switch {
	case err != nil:
		c.fail("window", err)
	case !open:
		c.warn("window", "release when it is open, or wait for that with --wait-for-window", "a sync window forbids a sync now")
	case len(windows) > 0:
		c.ok("window", "a sync may start now; sync windows: %d", len(windows))
	default:
		c.ok("window", "there is none: a sync may start at any time")
	}
}
