package argocdtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apiclient"
	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/sync/common"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
)

func deploymentOf(tag string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:` + tag + `"}]}
`
}

// gitops returns a server with one repository and its URL.
func gitops(t *testing.T, extra map[string]string) (*gitrepotest.Server, string) {
	t.Helper()
	files := map[string]string{
		"overlays/prod/kustomization.yaml": "resources: [deployment.yaml]\n",
		"overlays/prod/deployment.yaml":    deploymentOf("1"),
	}
	for name, content := range extra {
		files[name] = content
	}
	git := gitrepotest.New(t, gitrepotest.Options{})
	if err := git.CreateRepo("gitops", gitrepotest.RepoOptions{Files: files}); err != nil {
		t.Fatal(err)
	}
	return git, git.URL("gitops")
}

func connect(t *testing.T, s *argocdtest.Server, o apiclient.ClientOptions) applicationpkg.ApplicationServiceClient {
	t.Helper()
	o.ServerAddr = s.Addr()
	if o.CertFile == "" {
		o.PlainText = true
	}
	if o.AuthToken == "" {
		o.AuthToken = s.Token("admin", time.Time{})
	}
	client, err := apiclient.NewClient(&o)
	if err != nil {
		t.Fatal(err)
	}
	closer, apps, err := client.NewApplicationClient()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closer.Close() })
	return apps
}

func get(t *testing.T, apps applicationpkg.ApplicationServiceClient, name, refresh string) *v1alpha1.Application {
	t.Helper()
	q := &applicationpkg.ApplicationQuery{Name: &name, Projects: []string{"default"}}
	if refresh != "" {
		q.Refresh = &refresh
	}
	app, err := apps.Get(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// await watches until the application is as wanted.
func await(
	t *testing.T, apps applicationpkg.ApplicationServiceClient, name string, done func(*v1alpha1.Application) bool,
) *v1alpha1.Application {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := apps.Watch(ctx, &applicationpkg.ApplicationQuery{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	var last *v1alpha1.Application
	for {
		event, err := stream.Recv()
		if err != nil {
			t.Fatalf("watch ended with %v; last %+v", err, last)
		}
		if last = &event.Application; done(last) {
			return last
		}
	}
}

func TestASyncOfACommitBecomesHealthyAndIsToldOnTheWay(t *testing.T) {
	git, url := gitops(t, nil)
	s := argocdtest.New(t, argocdtest.Options{ProgressingFor: 50 * time.Millisecond})
	if err := s.AddApp(argocdtest.App{Name: "web", Repo: url, Path: "overlays/prod", Revision: "main", Deployed: true}); err != nil {
		t.Fatal(err)
	}
	apps := connect(t, s, apiclient.ClientOptions{})
	before := get(t, apps, "web", "")
	if before.Status.Sync.Status != v1alpha1.SyncStatusCodeSynced || before.Status.Health.Status != health.HealthStatusHealthy {
		t.Fatalf("deployed application is %s and %s", before.Status.Sync.Status, before.Status.Health.Status)
	}
	commit, err := git.Commit("gitops", gitrepotest.Commit{Message: "Release", Files: map[string]string{
		"overlays/prod/deployment.yaml": deploymentOf("2"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if app := get(t, apps, "web", "normal"); app.Status.Sync.Revision != commit || app.Status.Sync.Status != v1alpha1.SyncStatusCodeOutOfSync {
		t.Fatalf("after a refresh at %s it is %s at %s", commit, app.Status.Sync.Status, app.Status.Sync.Revision)
	}
	name, project := "web", "default"
	started, err := apps.Sync(t.Context(), &applicationpkg.ApplicationSyncRequest{
		Name: &name, Project: &project, Revision: &commit, Infos: []*v1alpha1.Info{{Name: "id", Value: "build-1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if started.Operation == nil || started.Operation.InitiatedBy.Username != "admin" {
		t.Errorf("the operation that was started is %+v", started.Operation)
	}
	app := await(t, apps, "web", func(app *v1alpha1.Application) bool {
		return app.Operation == nil && app.Status.Health.Status == health.HealthStatusHealthy &&
			app.Status.Sync.Status == v1alpha1.SyncStatusCodeSynced
	})
	state := app.Status.OperationState
	if state.Phase != common.OperationSucceeded || state.SyncResult.Revision != commit || state.Operation.Info[0].Value != "build-1" {
		t.Errorf("the operation ended as %+v with %+v", state, state.SyncResult)
	}
	if app.Status.ReconciledAt.Before(state.FinishedAt) {
		t.Errorf("reconciled at %s, before the operation was finished at %s", app.Status.ReconciledAt, state.FinishedAt)
	}
	if got := s.Calls("application.Sync"); len(got) != 1 || got[0].App != "web" || got[0].Project != "default" || got[0].Revisions[0] != commit {
		t.Errorf("recorded %+v", got)
	}
}
