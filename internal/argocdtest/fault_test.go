package argocdtest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apiclient"
	accountpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/account"
	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	sessionpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/session"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipway/internal/argocdtest"
)

// settled says that nothing is going on.
func settled(app *v1alpha1.Application) bool {
	return app.Operation == nil && app.Status.OperationState != nil && app.Status.OperationState.Phase.Completed() &&
		!app.Status.ReconciledAt.Before(app.Status.OperationState.FinishedAt)
}

// deployed returns a server with the application web.
func deployed(t *testing.T, o argocdtest.Options) *argocdtest.Server {
	t.Helper()
	_, url := gitops(t, nil)
	s := argocdtest.New(t, o)
	if err := s.AddApp(argocdtest.App{Name: "web", Project: "team-a", Repo: url, Path: "overlays/prod", Deployed: true}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFaultsOfSingleCalls(t *testing.T) {
	s := deployed(t, argocdtest.Options{})
	grpc, web := connect(t, s, apiclient.ClientOptions{}), connect(t, s, apiclient.ClientOptions{GRPCWeb: true})
	for name, c := range map[string]struct {
		fault           argocdtest.Fault
		grpc, web       codes.Code
		grpcSays, webIs string
	}{
		"a status": {
			argocdtest.Status(codes.ResourceExhausted, "too many requests"),
			codes.ResourceExhausted, codes.ResourceExhausted, "too many requests", "too many requests",
		},
		"a bad gateway": {argocdtest.Page(502), codes.Unavailable, codes.Unknown, "502 (Bad Gateway)", "failed with status code 502"},
		"a timeout":     {argocdtest.Page(504), codes.Unavailable, codes.Unknown, "504 (Gateway Timeout)", "failed with status code 504"},
		"no access":     {argocdtest.Page(403), codes.PermissionDenied, codes.Unknown, "403 (Forbidden)", "failed with status code 403"},
		"no such page":  {argocdtest.Page(404), codes.Unimplemented, codes.Unknown, "404 (Not Found)", "failed with status code 404"},
		"a reset":       {argocdtest.Reset(), codes.Internal, codes.Unknown, "RST_STREAM", "EOF"},
		"a drop":        {argocdtest.Drop(), codes.Unavailable, codes.Unknown, "EOF", "EOF"},
		"a lost reply":  {argocdtest.LoseReply(), codes.Unavailable, codes.Unknown, "EOF", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Fail("application.Get", 2, c.fault)
			query := &applicationpkg.ApplicationQuery{Name: new("web"), Projects: []string{"team-a"}}
			_, err := grpc.Get(t.Context(), query)
			expectRefused(t, err, c.grpc, c.grpcSays)
			_, err = web.Get(t.Context(), query)
			expectRefused(t, err, c.web, c.webIs)
			if _, err := grpc.Get(t.Context(), query); err != nil {
				t.Errorf("when the fault is over: %v", err)
			}
			if _, err := web.Get(t.Context(), query); err != nil {
				t.Errorf("when the fault is over: %v", err)
			}
		})
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	s := deployed(t, argocdtest.Options{})
	before := s.Connections()
	apps := connect(t, s, apiclient.ClientOptions{})
	for range 3 {
		if _, err := apps.List(t.Context(), &applicationpkg.ApplicationQuery{}); err != nil {
			t.Fatal(err)
		}
	}
	// The SDK makes one to find out whether gRPC passes.
	if got := s.Connections() - before; got != 2 {
		t.Errorf("there were %d connections", got)
	}
}

func TestALostReplyHasTakenEffect(t *testing.T) {
	s := deployed(t, argocdtest.Options{OperationFor: time.Minute})
	apps := connect(t, s, apiclient.ClientOptions{})
	s.Fail("application.Sync", 1, argocdtest.LoseReply())
	_, err := apps.Sync(t.Context(), &applicationpkg.ApplicationSyncRequest{Name: new("web"), Project: new("team-a")})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the reply is %v", err)
	}
	if s.App("web").Operation == nil {
		t.Error("there is no operation")
	}
}

func TestACallThatIsNeverAnsweredEndsWithTheClientsDeadline(t *testing.T) {
	s := deployed(t, argocdtest.Options{})
	apps := connect(t, s, apiclient.ClientOptions{})
	s.Fail("", argocdtest.Always, argocdtest.Hang())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := apps.List(ctx, &applicationpkg.ApplicationQuery{})
	expectRefused(t, err, codes.DeadlineExceeded, "")
	s.Heal()
	if _, err := apps.List(t.Context(), &applicationpkg.ApplicationQuery{}); err != nil {
		t.Errorf("when it is over: %v", err)
	}
}

func TestFaultsOfStreams(t *testing.T) {
	type received struct {
		messages int
		err      error
	}
	s := deployed(t, argocdtest.Options{})
	// watch gives up when nothing has followed so many messages for a while; fewer than none is never.
	watch := func(t *testing.T, apps applicationpkg.ApplicationServiceClient, most int) received {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := apps.Watch(ctx, &applicationpkg.ApplicationQuery{Name: new("web")})
		if err != nil {
			t.Fatal(err)
		}
		var r received
		for {
			if r.messages == most {
				time.AfterFunc(200*time.Millisecond, cancel)
			}
			if _, r.err = stream.Recv(); r.err != nil {
				return r
			}
			if r.messages++; r.messages == 1 {
				if err := s.EditApp("web", func(app *v1alpha1.Application) {
					app.Labels = map[string]string{"edited": time.Now().Format("05.000000000")}
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	grpc, web := connect(t, s, apiclient.ClientOptions{}), connect(t, s, apiclient.ClientOptions{GRPCWeb: true})
	for name, c := range map[string]struct {
		fault     argocdtest.Fault
		messages  int
		grpc, web codes.Code // OK for an end
	}{
		"no fault":                     {argocdtest.Fault{}, 2, codes.Canceled, codes.Canceled},
		"a cut":                        {argocdtest.CutAfter(1), 1, codes.Unavailable, codes.Unknown},
		"a cut after a while":          {argocdtest.Fault{CutIn: time.Second}, 2, codes.Unavailable, codes.Unknown},
		"an end":                       {argocdtest.EndAfter(2), 2, codes.OK, codes.OK},
		"silence":                      {argocdtest.Mute(0), 0, codes.Canceled, codes.Canceled},
		"silence after the first":      {argocdtest.Mute(1), 1, codes.Canceled, codes.Canceled},
		"an error in the middle":       {argocdtest.Fault{CutAfter: 1, Refusal: status.Error(codes.Unauthenticated, "invalid session")}, 1, codes.Unauthenticated, codes.OK},
		"an error before the first":    {argocdtest.Status(codes.Unauthenticated, "invalid session"), 0, codes.Unauthenticated, codes.Unauthenticated},
		"a page instead of the stream": {argocdtest.Page(502), 0, codes.Unavailable, codes.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, client := range map[string]applicationpkg.ApplicationServiceClient{"gRPC": grpc, "gRPC-web": web} {
				s.Fail("application.Watch", 1, c.fault)
				want := c.grpc
				if kind == "gRPC-web" {
					want = c.web
				}
				most := -1
				if want == codes.Canceled {
					most = c.messages
				}
				got := watch(t, client, most)
				code := status.Code(got.err)
				switch {
				case errors.Is(got.err, io.EOF):
					code = codes.OK
				case kind == "gRPC-web" && strings.Contains(got.err.Error(), "closed network connection"):
					code = codes.Canceled // the SDK's proxy may be the first to notice
				}
				if got.messages != c.messages || code != want {
					t.Errorf("%s: %d messages and %v, want %d and %s", kind, got.messages, got.err, c.messages, want)
				}
			}
		})
	}
}

func TestAFunctionDecidesAboutEveryCall(t *testing.T) {
	s := deployed(t, argocdtest.Options{})
	apps := connect(t, s, apiclient.ClientOptions{})
	var order []string
	s.Fault(func(c argocdtest.Call) argocdtest.Fault {
		return argocdtest.Around(func() { order = append(order, "before "+c.Method) }, func() { order = append(order, "after "+c.Method) })
	})
	if _, err := apps.List(t.Context(), &applicationpkg.ApplicationQuery{}); err != nil {
		t.Fatal(err)
	}
	s.Fault(nil)
	if got := strings.Join(order, ", "); got != "before application.List, after application.List" {
		t.Errorf("it went %s", got)
	}
}

func TestARestartEndsStreamsAndThenServesAgain(t *testing.T) {
	s := deployed(t, argocdtest.Options{})
	apps := connect(t, s, apiclient.ClientOptions{})
	stream, err := apps.Watch(t.Context(), &applicationpkg.ApplicationQuery{Name: new("web")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := stream.Recv()
		ended <- err
	}()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	_, err = apps.List(t.Context(), &applicationpkg.ApplicationQuery{})
	expectRefused(t, err, codes.Unavailable, "")
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for err = errors.New("not tried"); err != nil && ctx.Err() == nil; {
		_, err = apps.List(ctx, &applicationpkg.ApplicationQuery{})
	}
	if err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTokens(t *testing.T) {
	s := deployed(t, argocdtest.Options{Policy: "p, gitops, applications, *, */*, allow"})
	now := time.Now()
	revoked := s.TokenFrom("gitops", now.Add(-2*time.Minute), time.Time{})
	s.Revoke(revoked)
	for name, c := range map[string]struct{ token, want string }{
		"a good one":                  {s.Token("gitops", now.Add(time.Hour)), ""},
		"one without an end":          {s.Token("gitops", time.Time{}), ""},
		"one that has expired":        {s.TokenFrom("gitops", now.Add(-time.Hour), now.Add(-time.Minute)), "invalid session: Token is expired"},
		"one that is not yet valid":   {s.TokenFrom("gitops", now.Add(time.Hour), time.Time{}), "invalid session: Token used before issued"},
		"one that was revoked":        {revoked, "invalid session: token is revoked, please re-login"},
		"one of another server":       {argocdtest.New(t, argocdtest.Options{}).Token("gitops", time.Time{}), "invalid session: signature is invalid"},
		"what is not a token":         {"secret", "invalid session: token contains an invalid number of segments"},
		"nothing but an empty header": {" ", "no session information"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := apiclient.NewClient(&apiclient.ClientOptions{ServerAddr: s.Addr(), PlainText: true, AuthToken: c.token})
			if err != nil {
				t.Fatal(err)
			}
			closer, apps, err := client.NewApplicationClient()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = closer.Close() }()
			_, err = apps.List(t.Context(), &applicationpkg.ApplicationQuery{})
			if c.want != "" {
				expectRefused(t, err, codes.Unauthenticated, c.want)
			} else if err != nil {
				t.Error(err)
			}
			closer, session, err := client.NewSessionClient()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = closer.Close() }()
			info, err := session.GetUserInfo(t.Context(), &sessionpkg.GetUserInfoRequest{})
			if err != nil || info.LoggedIn != (c.want == "") || (info.LoggedIn && info.Username != "gitops") {
				t.Errorf("the session is %+v, %v", info, err)
			}
		})
	}
}

func TestAServerWhoseClockIsAheadTakesTokensForExpired(t *testing.T) {
	s := deployed(t, argocdtest.Options{Skew: 2 * time.Hour})
	apps := connect(t, s, apiclient.ClientOptions{AuthToken: s.Token("admin", time.Now().Add(time.Hour))})
	_, err := apps.List(t.Context(), &applicationpkg.ApplicationQuery{})
	expectRefused(t, err, codes.Unauthenticated, "Token is expired")
}

func TestRights(t *testing.T) {
	const policy = `p, role:team-a, applications, get, team-a/*, allow
p, role:team-a, applications, sync, team-a/web, allow
g, gitops, role:team-a
p, reader, applications, get, team-a/*, allow
p, elsewhere, applications, *, team-b/*, allow`
	for name, c := range map[string]struct {
		options       argocdtest.Options
		account, app  string
		get, sync, in codes.Code // with the project, and the sync without it
		logs          string
	}{
		"an account with both":               {argocdtest.Options{}, "gitops", "web", codes.OK, codes.OK, codes.OK, "yes"},
		"an account that only reads":         {argocdtest.Options{}, "reader", "web", codes.OK, codes.PermissionDenied, codes.PermissionDenied, "yes"},
		"an account of another project":      {argocdtest.Options{}, "elsewhere", "web", codes.PermissionDenied, codes.PermissionDenied, codes.PermissionDenied, "yes"},
		"a missing application":              {argocdtest.Options{}, "gitops", "nothing", codes.NotFound, codes.NotFound, codes.PermissionDenied, "yes"},
		"logs that nobody may read, in v3":   {argocdtest.Options{Version: "v3.5.1"}, "gitops", "web", codes.OK, codes.OK, codes.OK, "no"},
		"revisions that need override in v3": {argocdtest.Options{Version: "v3.5.1", OverrideForRevision: true}, "gitops", "web", codes.OK, codes.PermissionDenied, codes.PermissionDenied, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.Policy = policy
			s := deployed(t, c.options)
			token := s.Token(c.account, time.Time{})
			apps := connect(t, s, apiclient.ClientOptions{AuthToken: token})
			_, err := apps.Get(t.Context(), &applicationpkg.ApplicationQuery{Name: &c.app, Projects: []string{"team-a"}})
			expectCode(t, "get", err, c.get)
			commit := s.App("web").Status.Sync.Revision
			_, err = apps.Sync(t.Context(), &applicationpkg.ApplicationSyncRequest{Name: &c.app, Project: new("team-a"), Revision: &commit, DryRun: new(true)})
			expectCode(t, "sync", err, c.sync)
			if err == nil {
				await(t, apps, "web", settled)
			}
			_, err = apps.Sync(t.Context(), &applicationpkg.ApplicationSyncRequest{Name: &c.app, Revision: &commit, DryRun: new(true)})
			expectCode(t, "sync without a project", err, c.in)
			client, err := apiclient.NewClient(&apiclient.ClientOptions{ServerAddr: s.Addr(), PlainText: true, AuthToken: token})
			if err != nil {
				t.Fatal(err)
			}
			closer, accounts, err := client.NewAccountClient()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = closer.Close() }()
			answer, err := accounts.CanI(t.Context(), &accountpkg.CanIRequest{Resource: "logs", Action: "get", Subresource: "team-a/web"})
			if err != nil || answer.Value != c.logs {
				t.Errorf("logs: %+v, %v", answer, err)
			}
		})
	}
}

func expectCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestApplicationsInOtherNamespacesHaveRightsOfTheirOwn(t *testing.T) {
	_, url := gitops(t, nil)
	s := argocdtest.New(t, argocdtest.Options{Policy: "p, gitops, applications, *, team-a/payments/*, allow"})
	for _, namespace := range []string{"", "payments"} {
		err := s.AddApp(argocdtest.App{Name: "web", Namespace: namespace, Project: "team-a", Repo: url, Path: "overlays/prod", Deployed: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	apps := connect(t, s, apiclient.ClientOptions{AuthToken: s.Token("gitops", time.Time{})})
	_, err := apps.Get(t.Context(), &applicationpkg.ApplicationQuery{Name: new("web"), Projects: []string{"team-a"}})
	expectCode(t, "the server's own namespace", err, codes.PermissionDenied)
	app, err := apps.Get(t.Context(), &applicationpkg.ApplicationQuery{
		Name: new("web"), AppNamespace: new("payments"), Projects: []string{"team-a"}, Refresh: new("hard"),
	})
	if err != nil || app.Namespace != "payments" || s.App("payments/web") == nil {
		t.Errorf("got %+v, %v", app, err)
	}
	list, err := apps.List(t.Context(), &applicationpkg.ApplicationQuery{})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("the list is %+v, %v", list, err)
	}
}

func TestARoleOfAProjectActsInItOnly(t *testing.T) {
	s := deployed(t, argocdtest.Options{})
	s.EditProject("team-a", func(p *v1alpha1.AppProject) {
		p.Spec.Roles = []v1alpha1.ProjectRole{{Name: "ci", Policies: []string{
			"p, proj:team-a:ci, applications, get, team-a/*, allow", "p, proj:team-a:ci, applications, get, */*, allow",
		}}}
	})
	apps := connect(t, s, apiclient.ClientOptions{AuthToken: s.Token("proj:team-a:ci", time.Time{})})
	_, err := apps.Get(t.Context(), &applicationpkg.ApplicationQuery{Name: new("web"), Projects: []string{"team-a"}})
	expectCode(t, "its own", err, codes.OK)
	_, err = apps.Get(t.Context(), &applicationpkg.ApplicationQuery{Name: new("web"), Projects: []string{"team-b"}})
	expectCode(t, "another", err, codes.PermissionDenied)
}
