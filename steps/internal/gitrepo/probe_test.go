package gitrepo_test

import (
	"testing"
	"time"

	"slipway/internal/gitrepotest"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

// TestAProbeOfAPushChangesNothing asks every kind of server about refs that are there and that are not.
func TestAProbeOfAPushChangesNothing(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		if _, err := f.Commit("gitops", gitrepotest.Commit{Files: map[string]string{"README.md": "second\n"}, Message: "second"}); err != nil {
			f.t.Fatal(err)
		}
		before, err := f.Git("gitops", "for-each-ref")
		if err != nil {
			f.t.Fatal(err)
		}
		r := f.open(f.t)
		from, to := hash(f.t, f.rev(f.t, "main~1")), hash(f.t, f.rev(f.t, "main"))
		for _, ref := range []string{"refs/heads/main", "refs/slipway/approvals/probe"} {
			if err := r.ProbePush(f.t.Context(), ref, from, to); err != nil {
				f.t.Errorf("%s: %v", ref, err)
			}
		}
		after, err := f.Git("gitops", "for-each-ref")
		if err != nil || after != before {
			f.t.Errorf("refs are now\n%s(%v), before\n%s", after, err, before)
		}
		if _, err := r.Tip(f.t.Context(), "main"); err != nil {
			f.t.Fatal(err)
		}
		if partial, err := r.PartialFetch(f.t.Context()); err != nil || partial == f.shallow {
			f.t.Errorf("partial fetch is %t (%v)", partial, err)
		}
		server, local := r.ServerTime()
		if f.ssh != server.IsZero() || local.Sub(server).Abs() > 10*time.Second {
			f.t.Errorf("the server's clock is %s at %s", server, local)
		}
	})
}

func TestAProbeOfAPushTellsARefusal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hook string
		kind failure.Kind
	}{
		"a protected branch": {"echo 'GitLab: You are not allowed to push code to protected branches on this project.' >&2; exit 1", failure.Denied},
		"a rule":             {"echo 'only squirrels' >&2; exit 1", failure.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, servers[0])
			if _, err := f.Commit("gitops", gitrepotest.Commit{Files: map[string]string{"README.md": "second\n"}, Message: "second"}); err != nil {
				t.Fatal(err)
			}
			if err := f.Hook("gitops", "pre-receive", "#!/bin/sh\n"+test.hook+"\n"); err != nil {
				t.Fatal(err)
			}
			err := f.open(t).ProbePush(t.Context(), "refs/heads/main", hash(t, f.rev(t, "main~1")), hash(t, f.rev(t, "main")))
			if failure.KindOf(err) != test.kind {
				t.Errorf("kind %s: %v", failure.KindOf(err), err)
			}
		})
	}
}

func hash(t *testing.T, text string) gitrepo.Hash {
	t.Helper()
	h, ok := gitrepo.ParseHash(text)
	if !ok {
		t.Fatalf("%q is no hash", text)
	}
	return h
}
