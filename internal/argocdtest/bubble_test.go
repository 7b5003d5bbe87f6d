package argocdtest_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
)

// bubble is a server in memory within a synctest bubble, its client, and a Git server outside, which answers in real time.
type bubble struct {
	*argocdtest.Server
	t    *testing.T
	apps applicationpkg.ApplicationServiceClient
	ctx  context.Context
	git  *gitrepotest.Server
	url  string
}

// inBubble runs a test in whose time nothing takes long.
func inBubble(t *testing.T, o argocdtest.Options, files map[string]string, test func(b *bubble)) {
	t.Helper()
	git, url := gitops(t, files)
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 20)
		o.Listener = listener
		s := argocdtest.New(t, o)
		conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "token", s.Token("admin", time.Time{}))
		test(&bubble{s, t, applicationpkg.NewApplicationServiceClient(conn), ctx, git, url})
	})
}

func (b *bubble) add(a argocdtest.App) {
	b.t.Helper()
	if a.Name == "" {
		a.Name = "web"
	}
	if a.Repo == "" && a.Sources == nil {
		a.Repo, a.Path, a.Revision = b.url, "overlays/prod", "main"
	}
	if err := b.AddApp(a); err != nil {
		b.t.Fatal(err)
	}
}

// push commits a change of the deployment's image, and more files, and returns the commit.
func (b *bubble) push(tag string, more map[string]string) string {
	b.t.Helper()
	files := map[string]string{"overlays/prod/deployment.yaml": deploymentOf(tag)}
	for name, content := range more {
		files[name] = content
	}
	commit, err := b.git.Commit("gitops", gitrepotest.Commit{Message: "Release " + tag, Files: files})
	if err != nil {
		b.t.Fatal(err)
	}
	return commit
}

func (b *bubble) sync(commit string, edits ...func(*applicationpkg.ApplicationSyncRequest)) {
	b.t.Helper()
	if _, err := b.trySync(commit, edits...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bubble) trySync(commit string, edits ...func(*applicationpkg.ApplicationSyncRequest)) (*v1alpha1.Application, error) {
	r := &applicationpkg.ApplicationSyncRequest{Name: new("web")}
	if commit != "" {
		r.Revision = &commit
	}
	for _, edit := range edits {
		edit(r)
	}
	return b.apps.Sync(b.ctx, r)
}

// after lets time pass, waits for what comes of that and returns the application.
func (b *bubble) after(d time.Duration) *v1alpha1.Application {
	b.t.Helper()
	<-time.After(d)
	synctest.Wait()
	return b.App("web")
}

func TestAWorkloadIsProgressingForAsLongAsItIsSaid(t *testing.T) {
	inBubble(t, argocdtest.Options{ProgressingFor: 5 * time.Minute}, nil, func(b *bubble) {
		b.add(argocdtest.App{Deployed: true})
		b.sync(b.push("2", nil))
		if app := b.after(4 * time.Minute); app.Status.Health.Status != health.HealthStatusProgressing {
			b.t.Errorf("after 4 minutes it is %s", app.Status.Health.Status)
		}
		if app := b.after(2 * time.Minute); app.Status.Health.Status != health.HealthStatusHealthy {
			b.t.Errorf("after 6 minutes it is %s", app.Status.Health.Status)
		}
	})
}
