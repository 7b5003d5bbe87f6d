package argocd_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

// serve starts a server on loopback with an application web, whose repository exists.
func serve(t *testing.T, o argocdtest.Options) *argocdtest.Server {
	t.Helper()
	git := gitrepotest.New(t, gitrepotest.Options{})
	files := map[string]string{"prod/kustomization.yaml": "resources: [deployment.yaml]\n", "prod/deployment.yaml": deployment("1")}
	if err := git.CreateRepo("gitops", gitrepotest.RepoOptions{Files: files}); err != nil {
		t.Fatal(err)
	}
	s := argocdtest.New(t, o)
	if err := s.AddApp(argocdtest.App{Name: "web", Repo: git.URL("gitops"), Path: "prod", Revision: "main", Deployed: true}); err != nil {
		t.Fatal(err)
	}
	return s
}

func connect(t *testing.T, s *argocdtest.Server, o argocd.Options) (*argocd.Client, error) {
	t.Helper()
	if o.Server == "" {
		o.Server = s.URL()
	}
	if o.EnvToken == "" {
		o.EnvToken = s.Token("admin", time.Time{})
	}
	settings, err := argocd.Resolve(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := argocd.Connect(ctx, settings)
	if err == nil {
		t.Cleanup(func() { _ = client.Close() })
	}
	return client, err
}

func mustConnect(t *testing.T, s *argocdtest.Server, o argocd.Options) *argocd.Client {
	t.Helper()
	client, err := connect(t, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

var web = argocd.Ref{Name: "web", Project: "default"}

type classified struct {
	fault     argocdtest.Fault
	transient bool
	kind      failure.Kind
	hint      string
	is        error
}

func TestEveryErrorIsClassified(t *testing.T) {
	said := argocdtest.Status
	tests := map[string]classified{
		"unavailable":                    {fault: said(codes.Unavailable, "transport is closing"), transient: true},
		"exhausted":                      {fault: said(codes.ResourceExhausted, "too many"), transient: true},
		"aborted":                        {fault: said(codes.Aborted, "conflict"), transient: true},
		"too late":                       {fault: said(codes.DeadlineExceeded, "context deadline exceeded"), transient: true},
		"a stream that was reset":        {fault: said(codes.Internal, "stream terminated by RST_STREAM with error code: PROTOCOL_ERROR"), transient: true},
		"conflicts":                      {fault: said(codes.Internal, "Failed to terminate app. Too many conflicts"), transient: true},
		"a panic of the server":          {fault: said(codes.Internal, "runtime error: index out of range"), kind: failure.Failure},
		"a refresh that took too long":   {fault: said(codes.Unknown, "application refresh deadline exceeded"), transient: true},
		"a repo server that is down":     {fault: said(codes.Unknown, "dial tcp 10.0.0.1:8081: connect: connection refused"), transient: true},
		"a repo server that is slow":     {fault: said(codes.Unknown, "dial tcp 10.0.0.1:8081: i/o timeout"), transient: true},
		"an update that was overtaken":   {fault: said(codes.Unknown, `error updating application "web": the object has been modified`), transient: true},
		"a gateway of the SDK":           {fault: said(codes.Unknown, "POST https://argocd.example.com/application.ApplicationService/Get failed with status code 504"), transient: true},
		"a refusal of the SDK's gateway": {fault: said(codes.Unknown, "POST https://argocd.example.com/x failed with status code 405"), kind: failure.Usage, hint: "--argocd-grpc-web"},
		"anything unknown":               {fault: said(codes.Unknown, "no idea"), kind: failure.Failure},
		"an operation that is running": {
			fault:     said(codes.FailedPrecondition, "error setting app operation: another operation is already in progress"),
			transient: true, is: argocd.ErrInProgress,
		},
		"Git that is out of reach of the server": {
			fault:     said(codes.FailedPrecondition, "error resolving repo revision: rpc error: code = Unknown desc = dial tcp: i/o timeout"),
			transient: true, is: argocd.ErrUnresolved,
		},
		"a repository that cannot be got": {
			fault: said(codes.FailedPrecondition, "error getting repository: no such host"), transient: true, is: argocd.ErrUnresolved,
		},
		"an application that syncs itself": {
			fault: said(codes.FailedPrecondition, "Cannot sync to abc: auto-sync currently set to main"),
			kind:  failure.Conflict, is: argocd.ErrAutomated, hint: "follow the branch",
		},
		"one of several sources that syncs itself": {
			fault: said(codes.FailedPrecondition, "Cannot sync source https://git to abc: auto-sync currently set to main"),
			kind:  failure.Conflict, is: argocd.ErrAutomated,
		},
		"an application that goes away": {fault: said(codes.FailedPrecondition, "application is deleting"), kind: failure.Conflict},
		"a setting of the server":       {fault: said(codes.FailedPrecondition, "sync with replace was disabled on the API Server level"), kind: failure.Conflict},
		"a sync window": {
			fault: said(codes.PermissionDenied, "cannot sync: blocked by sync window"), kind: failure.Conflict, is: argocd.ErrWindow, hint: "--wait-for-window",
		},
		"a sync window that is wrong": {fault: said(codes.PermissionDenied, "cannot sync: invalid sync window: bad"), kind: failure.Conflict, hint: "correct"},
		"a right that is missing":     {fault: said(codes.PermissionDenied, "permission denied: applications, sync, default/web, sub: ci"), kind: failure.Denied, hint: "--project"},
		"the right to override": {
			fault: said(codes.PermissionDenied, "permission denied: applications, override, default/web, sub: ci"), kind: failure.Denied, hint: "grant the account override",
		},
		"a token that was revoked":      {fault: said(codes.Unauthenticated, "invalid session: token is revoked, please re-login"), kind: failure.Denied, is: argocd.ErrUnauthenticated, hint: "new token"},
		"a token of the future":         {fault: said(codes.Unauthenticated, "invalid session: Token is not valid yet"), kind: failure.Denied, hint: "clock"},
		"an application that is absent": {fault: said(codes.NotFound, `applications.argoproj.io "web" not found`), kind: failure.Usage, hint: "--project"},
		"an argument":                   {fault: said(codes.InvalidArgument, "bad"), kind: failure.Usage},
		"another API":                   {fault: said(codes.Unimplemented, "unknown service"), kind: failure.Usage, hint: "--argocd-grpc-web"},
		"a page that says 502":          {fault: argocdtest.Page(502), transient: true},
		"a page that says 503":          {fault: argocdtest.Page(503), transient: true},
		"a page that says 504":          {fault: argocdtest.Page(504), transient: true},
		"a page that says 500":          {fault: argocdtest.Page(500), transient: true},
		"a page that says 429":          {fault: argocdtest.Page(429), transient: true},
		"a page that says 401":          {fault: argocdtest.Page(401), kind: failure.Denied, hint: "proxy"},
		"a page that says 403":          {fault: argocdtest.Page(403), kind: failure.Denied, hint: "proxy"},
		"a page that says 404":          {fault: argocdtest.Page(404), kind: failure.Usage, hint: "check the address"},
		"a page that says 405":          {fault: argocdtest.Page(405), kind: failure.Usage, hint: "check the address"},
		"a login page":                  {fault: argocdtest.Page(200), kind: failure.Usage, hint: "check the address"},
		"a connection that is closed":   {fault: argocdtest.Drop(), transient: true},
		"a stream that is closed":       {fault: argocdtest.Reset(), transient: true},
		"an answer that is lost":        {fault: argocdtest.LoseReply(), transient: true},
	}
	s := serve(t, argocdtest.Options{})
	for protocol, o := range map[string]argocd.Options{"gRPC": {}, "gRPC-web": {GRPCWeb: true}} {
		for name, test := range tests {
			t.Run(protocol+" "+name, func(t *testing.T) {
				client := mustConnect(t, s, o)
				s.Fail("application.Get", 1, test.fault)
				_, err := client.Get(t.Context(), web)
				test.check(t, err)
				s.Heal()
			})
			t.Run(protocol+" "+name+" while watching", func(t *testing.T) {
				// A connection of its own: the server may cut this one only after the first message has ended the watch.
				client := mustConnect(t, s, o)
				s.Fail("application.Watch", 1, test.fault)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := client.Watch(ctx, web, func(*argocd.Application) { cancel() })
				if !errors.Is(err, context.Canceled) { // a stream whose answer would be lost has sent something before
					test.check(t, err)
				}
				s.Heal()
			})
		}
	}
}

func (c classified) check(t *testing.T, err error) {
	t.Helper()
	kind := c.kind
	if c.transient {
		kind = failure.Failure
	}
	switch {
	case err == nil:
		t.Fatal("succeeded")
	case retry.IsTransient(err) != c.transient, failure.KindOf(err) != kind:
		t.Errorf("%v: is %s, transient %t", err, failure.KindOf(err), retry.IsTransient(err))
	case !strings.Contains(failure.HintOf(err), c.hint):
		t.Errorf("%v: the hint is %q", err, failure.HintOf(err))
	case c.is != nil && !errors.Is(err, c.is):
		t.Errorf("%v: is not %v", err, c.is)
	case !strings.Contains(err.Error(), "application web: "):
		t.Errorf("%v: does not say of what", err)
	}
}

func TestAnOperationThatEndedAsErrorIsJudgedByItsMessage(t *testing.T) {
	const loading = "ComparisonError: Failed to load target state: failed to generate manifest for source 1 of 1: "
	const fetching = loading + "rpc error: code = Internal desc = Failed to fetch default: `git fetch origin --tags --force --prune` failed "
	for message, want := range map[string]bool{
		unavailable:    true,
		unknownProject: true,
		`appproject.argoproj.io "team-a" not found`:                                                                                         true,
		`Failed to load application project: appproject.argoproj.io "team-a" not found`:                                                     true,
		loading + "rpc error: code = DeadlineExceeded desc = context deadline exceeded":                                                     true,
		loading + "rpc error: code = Unknown desc = failed to list refs: dial tcp 10.0.0.1:443: i/o timeout":                                true,
		loading + "rpc error: code = Unknown desc = rpc error: code = Unavailable desc = error reading from server: EOF (retried 5 times).": true,
		loading + "rpc error: code = Canceled desc = context canceled":                                                                      true,
		`failed to load openAPISchema: Get "https://10.96.0.1:443/openapi/v2": dial tcp 10.96.0.1:443: connect: connection refused`:         true,
		"etcdserver: leader changed": true,
		fetching + "exit status 128: fatal: unable to access 'https://git.example.com/x/': Failed to connect to git.example.com port 443 after 2 ms: Connection refused": true,
		fetching + "exit status 128: fatal: unable to access 'https://git.example.com/x/': Recv failure: Connection reset by peer":                                       true,
		fetching + "exit status 128: fatal: unable to access 'https://git.example.com/x/': Could not resolve host: git.example.com":                                      true,
		fetching + "exit status 128: fatal: unable to access 'https://git.example.com/x/': The requested URL returned error: 502":                                        true,
		fetching + "exit status 128: error: RPC failed; HTTP 504 curl 22 The requested URL returned error: 504\nfatal: the remote end hung up unexpectedly":              true,
		fetching + "exit status 128: ssh: connect to host git.example.com port 22: Connection timed out":                                                                 true,
		fetching + "exit status 128: kex_exchange_identification: Connection closed by remote host\nfatal: Could not read from remote repository.":                       true,
		fetching + "timeout after 1m30s": true,
		fetching + "exit status 128: fatal: unable to access 'https://git.example.com/x/': The requested URL returned error: 403":            false,
		fetching + "exit status 128: fatal: unable to access 'https://git.example.com/x/': SSL certificate problem: self-signed certificate": false,
		fetching + "exit status 128: git@git.example.com: Permission denied (publickey).\nfatal: Could not read from remote repository.":     false,
		fetching + "exit status 128: remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://git.example.com/x/'":       false,
		notBuilt:  false,
		"":        false,
		"no idea": false,
		loading + "rpc error: code = Unknown desc = Manifest generation error (cached): dial tcp 10.0.0.1:443: i/o timeout":                     false,
		loading + "rpc error: code = Unknown desc = `helm template .` failed exit status 1: Error: parse error at (web.yaml:3): unexpected EOF": false,
		loading + "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (209715200 vs. 104857600)":                 false,
		loading + "rpc error: code = Unavailable desc = connection error: x509: certificate signed by unknown authority":                        false,
		loading + "rpc error: code = Unauthenticated desc = authentication required":                                                            false,
		loading + "rpc error: code = Internal desc = unable to resolve 'v9' to a commit SHA":                                                    false,
		"InvalidSpecError: application repo https://git.example.com/x is not permitted in project 'team-a'":                                     false,
	} {
		if got := argocd.Passes(message); got != want {
			t.Errorf("%t: %s", got, message)
		}
	}
}

func TestATerminationWithoutAnOperationIsNothing(t *testing.T) {
	client := mustConnect(t, serve(t, argocdtest.Options{}), argocd.Options{})
	if err := client.Terminate(t.Context(), web); err != nil {
		t.Error(err)
	}
}

func TestAWatchOverGRPCWebEndsWithTheReasonThatFollowsTheMessages(t *testing.T) {
	s := serve(t, argocdtest.Options{})
	client := mustConnect(t, s, argocd.Options{GRPCWeb: true})
	refusal := argocdtest.Status(codes.Unauthenticated, "invalid session: %9 Token is expired")
	refusal.CutAfter = 1
	s.Fail("application.Watch", 1, refusal)
	seen := 0
	err := client.Watch(t.Context(), web, func(*argocd.Application) { seen++ })
	if seen != 1 || failure.KindOf(err) != failure.Denied || !strings.Contains(err.Error(), "invalid session: %9 Token is expired") {
		t.Errorf("after %d messages: %v", seen, err)
	}
}
