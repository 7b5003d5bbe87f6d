package argocdtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apiclient"
	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"google.golang.org/grpc/codes"

	"slipway/internal/argocdtest"
)

func TestTheSDKReachesTheServerInEveryWay(t *testing.T) {
	_, url := gitops(t, nil)
	for name, way := range map[string]struct {
		server argocdtest.Options
		client apiclient.ClientOptions
		web    bool
	}{
		"plaintext":                              {},
		"TLS":                                    {server: argocdtest.Options{TLS: true}},
		"gRPC-web":                               {client: apiclient.ClientOptions{GRPCWeb: true}, web: true},
		"gRPC-web with TLS":                      {server: argocdtest.Options{TLS: true}, client: apiclient.ClientOptions{GRPCWeb: true}, web: true},
		"below a path":                           {server: argocdtest.Options{RootPath: "argo-cd"}, client: apiclient.ClientOptions{GRPCWeb: true, GRPCWebRootPath: "argo-cd"}, web: true},
		"gRPC-web through a proxy for HTTP/1":    {server: argocdtest.Options{Front: argocdtest.FrontHTTP1}, client: apiclient.ClientOptions{GRPCWeb: true}, web: true},
		"falling back where gRPC does not pass":  {server: argocdtest.Options{Front: argocdtest.FrontNoGRPC}, web: true},
		"falling back at a TLS proxy for HTTP/1": {server: argocdtest.Options{Front: argocdtest.FrontHTTP1, TLS: true}, web: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := argocdtest.New(t, way.server)
			if err := s.AddApp(argocdtest.App{Name: "web", Repo: url, Path: "overlays/prod", Deployed: true}); err != nil {
				t.Fatal(err)
			}
			if way.server.TLS {
				way.client.CertFile = s.CAFile()
			}
			apps := connect(t, s, way.client)
			expect(t, get(t, apps, "web", "normal"), "Succeeded Synced Healthy")
			if calls := s.Calls("application.Get"); len(calls) != 1 || calls[0].Web != way.web || calls[0].Refresh != "normal" {
				t.Errorf("calls are %+v", calls)
			}
			app := "web"
			if _, err := apps.Sync(t.Context(), &applicationpkg.ApplicationSyncRequest{Name: &app, Revision: new("main")}); err != nil {
				t.Fatal(err)
			}
			expect(t, await(t, apps, "web", settled), "Succeeded Synced Healthy")
			_, err := apps.Sync(t.Context(), &applicationpkg.ApplicationSyncRequest{Name: &app, Project: new("other")})
			expectRefused(t, err, codes.NotFound, `applications.argoproj.io "web" not found`)
		})
	}
}

func TestWhatIsNotGRPC(t *testing.T) {
	for name, want := range map[string]struct {
		path, accept string
		status       int
		body         string
	}{
		"health":           {"/healthz", "", 200, "ok"},
		"version":          {"/api/version", "", 200, `{"Version":"v2.14.21"}`},
		"the page":         {"/applications/argocd/web", "text/html", 200, "<title>Argo CD</title>"},
		"a missing file":   {"/nothing.js", "", 404, "not found"},
		"a missing method": {"/api/v1/nothing", "", 404, "Not Found"},
	} {
		for root, options := range map[string]argocdtest.Options{"": {TLS: true}, "/argo-cd": {TLS: true, RootPath: "argo-cd"}} {
			t.Run(name+" below /"+root, func(t *testing.T) {
				s := argocdtest.New(t, options)
				pem, err := os.ReadFile(s.CAFile())
				if err != nil {
					t.Fatal(err)
				}
				roots := x509.NewCertPool()
				roots.AppendCertsFromPEM(pem)
				client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
				defer client.CloseIdleConnections()
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+want.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Accept", want.accept)
				reply, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = reply.Body.Close() }()
				body, err := io.ReadAll(reply.Body)
				if err != nil || reply.StatusCode != want.status || !strings.Contains(string(body), want.body) {
					t.Errorf("got %d %q, %v", reply.StatusCode, body, err)
				}
			})
		}
	}
}

func TestAServerThatCannotBeReached(t *testing.T) {
	for name, c := range map[string]struct {
		server argocdtest.Options
		client apiclient.ClientOptions
		want   string // empty for a client that hangs
	}{
		"an unknown CA": {argocdtest.Options{TLS: true}, apiclient.ClientOptions{}, "certificate signed by unknown authority"},
		"a black hole":  {argocdtest.Options{Front: argocdtest.FrontBlackHole}, apiclient.ClientOptions{PlainText: true}, ""},
		"a path that the client does not know": {
			argocdtest.Options{RootPath: "argo-cd"}, apiclient.ClientOptions{PlainText: true}, "404",
		},
		"a proxy for HTTP/1 in plaintext": {
			argocdtest.Options{Front: argocdtest.FrontHTTP1}, apiclient.ClientOptions{PlainText: true}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := argocdtest.New(t, c.server)
			c.client.ServerAddr = s.Addr()
			failed := make(chan error, 1)
			go func() {
				client, err := apiclient.NewClient(&c.client)
				if err == nil {
					var apps applicationpkg.ApplicationServiceClient
					if _, apps, err = client.NewApplicationClient(); err == nil {
						_, err = apps.List(context.Background(), &applicationpkg.ApplicationQuery{})
					}
				}
				failed <- err
			}()
			select {
			case err := <-failed:
				if c.want == "" || err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			case <-time.After(waitFor(c.want)):
				if c.want != "" {
					t.Error("nothing happened for a second")
				}
			}
		})
	}
}

// waitFor is short where nothing is expected.
func waitFor(want string) time.Duration {
	if want == "" {
		return 500 * time.Millisecond
	}
	return 20 * time.Second
}
