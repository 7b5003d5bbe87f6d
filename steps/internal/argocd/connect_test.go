package argocd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"slipway/internal/argocdtest"
	"slipway/retry"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

func TestTheServerIsReachedInEveryWayInWhichItIsServed(t *testing.T) {
	tests := map[string]struct {
		serve   argocdtest.Options
		connect func(s *argocdtest.Server) argocd.Options
		web     bool // the calls arrive as gRPC-web
	}{
		"plaintext": {connect: func(s *argocdtest.Server) argocd.Options {
			return argocd.Options{Server: s.Addr(), PlainText: true}
		}},
		"plaintext by its URL":  {connect: func(s *argocdtest.Server) argocd.Options { return argocd.Options{Server: s.URL() + "/"} }},
		"plaintext as gRPC-web": {connect: func(*argocdtest.Server) argocd.Options { return argocd.Options{GRPCWeb: true} }, web: true},
		"TLS with a CA of its own": {
			serve:   argocdtest.Options{TLS: true},
			connect: func(s *argocdtest.Server) argocd.Options { return argocd.Options{Server: s.Addr(), CAFile: s.CAFile()} },
		},
		"TLS with a CA from ARGOCD_OPTS": {
			serve:   argocdtest.Options{TLS: true},
			connect: func(s *argocdtest.Server) argocd.Options { return argocd.Options{Opts: "--server-crt " + s.CAFile()} },
		},
		"TLS that is not checked": {
			serve:   argocdtest.Options{TLS: true},
			connect: func(*argocdtest.Server) argocd.Options { return argocd.Options{Opts: "--insecure"} },
		},
		"TLS as gRPC-web": {
			serve: argocdtest.Options{TLS: true}, web: true,
			connect: func(s *argocdtest.Server) argocd.Options {
				return argocd.Options{CAFile: s.CAFile(), Opts: "--grpc-web"}
			},
		},
		"a path of an ingress, by its URL": {
			serve: argocdtest.Options{RootPath: "tools/argo-cd"}, web: true,
			connect: func(*argocdtest.Server) argocd.Options { return argocd.Options{} },
		},
		"a path of an ingress, by its option": {
			serve: argocdtest.Options{RootPath: "argo-cd", TLS: true}, web: true,
			connect: func(s *argocdtest.Server) argocd.Options {
				return argocd.Options{Server: s.Addr(), CAFile: s.CAFile(), Opts: "--grpc-web-root-path=/argo-cd"}
			},
		},
		"a proxy for HTTP/1.1": {
			serve: argocdtest.Options{Front: argocdtest.FrontHTTP1}, web: true,
			connect: func(*argocdtest.Server) argocd.Options { return argocd.Options{} },
		},
		"a proxy for HTTP/1.1 with TLS": {
			serve: argocdtest.Options{Front: argocdtest.FrontHTTP1, TLS: true}, web: true,
			connect: func(s *argocdtest.Server) argocd.Options { return argocd.Options{CAFile: s.CAFile()} },
		},
		"a proxy that lets no gRPC pass": {
			serve: argocdtest.Options{Front: argocdtest.FrontNoGRPC}, web: true,
			connect: func(*argocdtest.Server) argocd.Options { return argocd.Options{} },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, test.serve)
			client := mustConnect(t, s, test.connect(s))
			if client.User() != "admin" {
				t.Errorf("logged in as %q", client.User())
			}
			app, err := client.Refresh(t.Context(), web)
			if err != nil {
				t.Fatal(err)
			}
			if app.Health != "Healthy" {
				t.Errorf("the application is %+v", app)
			}
			for _, call := range s.Calls("application.Get") {
				if call.Web != test.web {
					t.Errorf("asked by gRPC-web: %t", call.Web)
				}
			}
			if page := client.Page(app.Ref); page != s.URL()+"/applications/argocd/web" {
				t.Errorf("the page is %s", page)
			}
		})
	}
}

func TestWhyAServerIsNotReached(t *testing.T) {
	tests := map[string]struct {
		serve     argocdtest.Options
		connect   func(s *argocdtest.Server) argocd.Options
		transient bool
		kind      failure.Kind
		says      string
		hint      string
	}{
		"an unknown CA": {
			serve:   argocdtest.Options{TLS: true},
			connect: func(*argocdtest.Server) argocd.Options { return argocd.Options{} },
			kind:    failure.Denied, says: "x509: certificate signed by unknown authority", hint: "--argocd-ca-file",
		},
		"an unknown CA, by gRPC-web": {
			serve:   argocdtest.Options{TLS: true},
			connect: func(*argocdtest.Server) argocd.Options { return argocd.Options{GRPCWeb: true} },
			kind:    failure.Denied, says: "x509: certificate signed by unknown authority", hint: "--argocd-ca-file",
		},
		"TLS where there is none": {
			connect: func(s *argocdtest.Server) argocd.Options { return argocd.Options{Server: s.Addr()} },
			kind:    failure.Usage, hint: "--argocd-plaintext",
		},
		"TLS where there is none, by gRPC-web": {
			connect: func(s *argocdtest.Server) argocd.Options { return argocd.Options{Server: s.Addr(), GRPCWeb: true} },
			kind:    failure.Usage, hint: "--argocd-plaintext",
		},
		"a path that is not the server's": {
			serve:   argocdtest.Options{RootPath: "argo-cd"},
			connect: func(s *argocdtest.Server) argocd.Options { return argocd.Options{Server: "http://" + s.Addr()} },
			kind:    failure.Usage, says: "404", hint: "--argocd-grpc-web-root-path",
		},
		"nobody there": {
			connect:   func(*argocdtest.Server) argocd.Options { return argocd.Options{Server: "http://127.0.0.1:1"} },
			transient: true, says: "connection refused",
		},
		"a token of another server": {
			connect: func(*argocdtest.Server) argocd.Options {
				return argocd.Options{EnvToken: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}
			},
			kind: failure.Denied, says: "the token is not accepted", hint: "generate-token",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, test.serve)
			_, err := connect(t, s, test.connect(s))
			kind := test.kind
			if test.transient {
				kind = failure.Failure
			}
			if failure.KindOf(err) != kind || retry.IsTransient(err) != test.transient || !strings.Contains(err.Error(), test.says) {
				t.Errorf("failed as %s, transient %t, with %v", failure.KindOf(err), retry.IsTransient(err), err)
			}
			if !strings.Contains(failure.HintOf(err), test.hint) {
				t.Errorf("the hint is %q", failure.HintOf(err))
			}
		})
	}
}

func TestAServerThatIsSilentCostsNoMoreThanTheLimit(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
		settings, err := argocd.Resolve(argocd.Options{Server: "http://argocd.example.com", EnvToken: w.token})
		if err != nil {
			w.t.Fatal(err)
		}
		settings.Dial = w.dial
		w.Fail("", argocdtest.Always, argocdtest.Hang())
		began := time.Now()
		_, err = argocd.Connect(w.t.Context(), settings)
		if took := time.Since(began); !retry.IsTransient(err) || took > 25*time.Second {
			w.t.Errorf("after %s: %v", took, err)
		}
		synctest.Wait()
	})
}

func TestAServerThatRefusesBothWaysSaysWhy(t *testing.T) {
	s := serve(t, argocdtest.Options{})
	s.Fail("session.GetUserInfo", argocdtest.Always, argocdtest.Status(codes.Unavailable, "starting"))
	if _, err := connect(t, s, argocd.Options{}); !retry.IsTransient(err) || !strings.Contains(err.Error(), "starting") {
		t.Errorf("failed with %v", err)
	}
}

func TestTheArgoCDCommandsConfigurationIsUnderstood(t *testing.T) {
	s := serve(t, argocdtest.Options{TLS: true})
	other := serve(t, argocdtest.Options{})
	file := filepath.Join(t.TempDir(), "config")
	write := func(mode os.FileMode) {
		t.Helper()
		config := "current-context: one\ncontexts:\n- {name: one, server: '" + s.Addr() + "', user: one}\n- {name: two, server: '" + other.Addr() + "', user: two}\n" +
			"servers:\n- {server: '" + s.Addr() + "', insecure: true}\n- {server: '" + other.Addr() + "', plain-text: true, grpc-web: true}\n" +
			"users:\n- {name: one, auth-token: " + s.Token("admin", time.Time{}) + "}\n- {name: two, auth-token: " + other.Token("admin", time.Time{}) + ", refresh-token: r}\n"
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(0o600)
	for name, o := range map[string]argocd.Options{
		"its current context":              {ConfigFile: file},
		"another context":                  {ConfigFile: file, Context: "two"},
		"another context from ARGOCD_OPTS": {Opts: "--config " + file + " --argocd-context two"},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := argocd.Resolve(o)
			if err != nil {
				t.Fatal(err)
			}
			client, err := argocd.Connect(t.Context(), settings)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			if _, err := client.Get(t.Context(), web); err != nil {
				t.Error(err)
			}
		})
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("and not rewritten", func(t *testing.T) {
		if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
			t.Error("the file has changed")
		}
	})
	t.Run("and refused if others may read it", func(t *testing.T) {
		write(0o644)
		_, err := argocd.Resolve(argocd.Options{ConfigFile: file})
		if failure.KindOf(err) != failure.Usage || !strings.Contains(failure.HintOf(err), "readable by its owner only") {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("and left alone if it is not needed", func(t *testing.T) {
		t.Setenv("ARGOCD_CONFIG_DIR", filepath.Dir(file))
		if _, err := argocd.Resolve(argocd.Options{Server: "argocd.example.com", EnvToken: "token"}); err != nil {
			t.Error(err)
		}
	})
}

func TestAddressesAreTakenAsPeopleWriteThem(t *testing.T) {
	tests := map[string]struct {
		server, address, url string
	}{
		"a host":             {"argocd.example.com", "argocd.example.com:443", "https://argocd.example.com"},
		"a host and a port":  {"argocd.example.com:8443", "argocd.example.com:8443", "https://argocd.example.com:8443"},
		"a URL":              {"https://argocd.example.com/", "argocd.example.com:443", "https://argocd.example.com"},
		"a URL without TLS":  {"http://argocd.example.com", "argocd.example.com:80", "http://argocd.example.com"},
		"a URL with a path":  {"https://example.com/argo-cd/", "example.com:443", "https://example.com/argo-cd"},
		"an address of IPv6": {"[2001:db8::1]:443", "[2001:db8::1]:443", "https://[2001:db8::1]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := argocd.Resolve(argocd.Options{Server: test.server, EnvToken: "token"})
			if err != nil {
				t.Fatal(err)
			}
			if s.Address() != test.address || s.URL() != test.url {
				t.Errorf("is %s and %s", s.Address(), s.URL())
			}
		})
	}
	for name, server := range map[string]string{"none": "", "a scheme alone": "https://", "something else": "http://[::"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ARGOCD_CONFIG_DIR", t.TempDir())
			if _, err := argocd.Resolve(argocd.Options{Server: server, EnvToken: "token"}); failure.KindOf(err) != failure.Usage {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestAnOptionWinsOverTheEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		o    argocd.Options
		want string
	}{
		"a flag":      {argocd.Options{Server: "a:1", Opts: "--server b:2", EnvServer: "c:3"}, "a:1"},
		"ARGOCD_OPTS": {argocd.Options{Opts: "--server b:2", EnvServer: "c:3"}, "b:2"},
		"nothing":     {argocd.Options{EnvServer: "c:3"}, "c:3"},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.EnvToken = "token"
			s, err := argocd.Resolve(test.o)
			if err != nil || s.Address() != test.want {
				t.Errorf("is %s, %v", s.Address(), err)
			}
		})
	}
}

func TestARGOCD_OPTS(t *testing.T) {
	const token = "secret-token-of-some-length"
	good := map[string]string{
		"nothing":                     "",
		"options without a value":     "--grpc-web --insecure",
		"a value behind an equals":    "--grpc-web-root-path=/argo --auth-token=" + token,
		"a value as the next word":    "--auth-token " + token + " --grpc-web",
		"quotes":                      `--header 'Authorization: Bearer ` + token + `' --header "X: y"`,
		"short headers":               `-H 'Cookie: ` + token + `' -H='X-Token: ` + token + `'`,
		"options that are of no use":  "--loglevel debug --http-retry-max 3 --client-crt ''",
		"an option that is switched":  "--insecure=false --plaintext true",
		"a header with its own equal": `--header=X-Token: ` + token,
	}
	for name, opts := range good {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "own equal") {
				opts = "'" + opts + "'"
			}
			s, err := argocd.Resolve(argocd.Options{Server: "argocd.example.com", EnvToken: "other", Opts: opts})
			if err != nil {
				t.Fatal(err)
			}
			known := strings.Join(s.Secrets(), "\n") + strings.Join(argocd.OptsSecrets(opts), "\n")
			if strings.Contains(opts, token) && strings.Count(known, token) < 2 {
				t.Errorf("secret are only %q", known)
			}
		})
	}
	bad := map[string]string{
		"a quote that is open":       "--auth-token '" + token,
		"a word without an option":   token,
		"a header without a name":    "--header " + token,
		"an option for another mode": "--core --auth-token " + token,
		"a port that is forwarded":   "--port-forward-namespace argocd",
	}
	for name, opts := range bad {
		t.Run(name, func(t *testing.T) {
			_, err := argocd.Resolve(argocd.Options{Server: "argocd.example.com", EnvToken: "other", Opts: opts})
			if failure.KindOf(err) != failure.Usage || failure.HintOf(err) == "" || strings.Contains(err.Error(), token) {
				t.Errorf("ended with %v", err)
			}
			if strings.Contains(opts, token) && !strings.Contains(opts, "--core") && !strings.Contains(strings.Join(argocd.OptsSecrets(opts), "\n"), token) && name != "a word without an option" {
				t.Error("the token is not secret")
			}
		})
	}
}

func TestATokenIsCheckedBeforeAnythingIsAsked(t *testing.T) {
	s := argocdtest.New(t, argocdtest.Options{})
	now := time.Now().Truncate(time.Second)
	tests := map[string]struct {
		token   string
		expires time.Time
		says    string
	}{
		"one without an end":     {token: s.Token("ci", time.Time{})},
		"one that is valid":      {token: s.Token("ci", now.Add(time.Hour)), expires: now.Add(time.Hour)},
		"one that has expired":   {token: s.TokenFrom("ci", now.Add(-time.Hour), now.Add(-time.Minute)), expires: now.Add(-time.Minute), says: "has expired at " + now.Add(-time.Minute).UTC().Format(time.RFC3339)},
		"one of the future":      {token: s.TokenFrom("ci", now.Add(time.Hour), time.Time{}), says: "is valid from " + now.Add(time.Hour).UTC().Format(time.RFC3339)},
		"one of a clock ahead":   {token: s.TokenFrom("ci", now.Add(30*time.Second), time.Time{})},
		"something else":         {token: "no-jwt"},
		"three parts of nothing": {token: "a.b.c"},
		"none at all":            {says: "no token"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ARGOCD_CONFIG_DIR", t.TempDir())
			settings, err := argocd.Resolve(argocd.Options{Server: "argocd.example.com", EnvToken: test.token})
			if err != nil {
				t.Fatal(err)
			}
			expires, err := settings.CheckToken(now)
			if !expires.Equal(test.expires) {
				t.Errorf("expires at %s", expires)
			}
			if (err != nil) != (test.says != "") || err != nil && (failure.KindOf(err) != failure.Denied || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestHeadersAndTokenGoWithEveryCall(t *testing.T) {
	// The SDK would lose headers over gRPC: it adds them to the context of the dialling only.
	s := serve(t, argocdtest.Options{})
	for name, opts := range map[string]string{"gRPC": "", "gRPC-web": "--grpc-web"} {
		t.Run(name, func(t *testing.T) {
			settings, err := argocd.Resolve(argocd.Options{Server: s.URL(), EnvToken: "not-a-token", Opts: opts + " --header 'Authorization: Bearer " + s.Token("admin", time.Time{}) + "'"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = argocd.Connect(context.Background(), settings); failure.KindOf(err) != failure.Denied {
				t.Errorf("a token that is wrong was not sent: %v", err)
			}
		})
	}
}
