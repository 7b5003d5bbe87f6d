package gitrepo_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

// The wordings are those of stock Git, GitLab, GitHub and Gitea. Text is all that tells one refusal from another.
func TestRefusedPushesAreToldApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hook, says string
		kind       failure.Kind
		transient  bool
	}{
		"a protected branch on GitLab": {
			hook: "pre-receive", says: "GitLab: You are not allowed to push code to protected branches on this project.", kind: failure.Denied,
		},
		"a protected branch on GitHub": {
			hook: "update", says: "error: GH006: Protected branch update failed for refs/heads/main.", kind: failure.Denied,
		},
		"a protected branch on Gitea": {
			hook: "pre-receive", says: "Gitea: Not allowed to push to protected branch main", kind: failure.Denied,
		},
		"a push rule on GitLab": {
			hook: "pre-receive", says: "GitLab: Commit message does not follow the pattern 'JIRA-\\d+'", kind: failure.Conflict,
		},
		"a hook without a word":     {hook: "pre-receive", kind: failure.Conflict},
		"Gitaly that is not there":  {hook: "pre-receive", says: "GitLab: The git server, Gitaly, is not available at this time.", transient: true},
		"GitLab's API that is down": {hook: "pre-receive", says: "GitLab: Internal API unreachable", transient: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, servers[0])
			script := "#!/bin/sh\nexit 1\n"
			if c.says != "" {
				script = "#!/bin/sh\ncat >&2 <<'END'\n\n========\n" + c.says + "\n========\nEND\nexit 1\n"
			}
			if err := f.Hook("gitops", c.hook, script); err != nil {
				t.Fatal(err)
			}
			before := f.rev(t, "main")
			err := bump(t, f.open(t), "README.md", "x\n")
			if err == nil {
				t.Fatal("the push went through")
			}
			if retry.IsTransient(err) != c.transient {
				t.Errorf("transient is %v: %v", !c.transient, err)
			}
			if !c.transient && (failure.KindOf(err) != c.kind || failure.HintOf(err) == "") {
				t.Errorf("kind %s, hint %q: %v", failure.KindOf(err), failure.HintOf(err), err)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "====") {
				t.Errorf("the server's words are missing: %v", err)
			}
			if f.rev(t, "main") != before {
				t.Error("the branch moved")
			}
		})
	}
}

func TestAnswersThatAreNotGits(t *testing.T) {
	t.Parallel()
	page := "<html><head><style>p{}</style></head><body><h1>Sign in</h1> to the <b>forge</b></body></html>"
	html := http.Header{"Content-Type": {"text/html"}}
	for name, c := range map[string]struct {
		action    gitrepotest.Action
		kind      failure.Kind
		transient bool
		says      string
	}{
		"a login page":              {action: gitrepotest.Status(200, html, page), kind: failure.Usage, says: "Sign in to the forge"},
		"no credentials":            {action: gitrepotest.Status(401, nil, "HTTP Basic: Access denied"), kind: failure.Denied, says: "Access denied"},
		"no permission":             {action: gitrepotest.Status(403, nil, "You are not allowed"), kind: failure.Denied, says: "You are not allowed"},
		"no such repository":        {action: gitrepotest.Status(404, nil, "not found"), kind: failure.Usage},
		"a proxy's error page":      {action: gitrepotest.Status(502, html, page), transient: true, says: "502 Bad Gateway: Sign in to the forge"},
		"too many requests":         {action: gitrepotest.Status(429, nil, ""), transient: true},
		"an unavailable server":     {action: gitrepotest.Status(503, nil, "restarting"), transient: true, says: "restarting"},
		"a connection that drops":   {action: gitrepotest.DropBefore(), transient: true},
		"an answer cut in its head": {action: gitrepotest.CutBody(3), transient: true},
		"an empty page":             {action: gitrepotest.Status(200, http.Header{"Content-Type": {"application/x-git-upload-pack-advertisement"}}, ""), transient: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, servers[0])
			f.Fault(func(gitrepotest.Request) gitrepotest.Action { return c.action })
			_, err := f.open(t).Tip(t.Context(), "main")
			if err == nil {
				t.Fatal("no error")
			}
			if retry.IsTransient(err) != c.transient || !c.transient && failure.KindOf(err) != c.kind {
				t.Errorf("transient %v, kind %s: %v", retry.IsTransient(err), failure.KindOf(err), err)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "<") {
				t.Errorf("the message is %q", err)
			}
		})
	}
}

func TestAPushWhoseAnswerIsLostIsUncertain(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]gitrepotest.Action{
		"dropped":                   gitrepotest.DropAfter(),
		"cut in the middle":         gitrepotest.CutBody(5),
		"a gateway that gave up":    gitrepotest.Status(504, nil, "gateway timeout"),
		"dropped before it arrived": gitrepotest.DropBefore(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, servers[0])
			f.Fault(func(q gitrepotest.Request) gitrepotest.Action {
				if q.Push {
					return action
				}
				return gitrepotest.Pass()
			})
			err := bump(t, f.open(t), "README.md", "x\n")
			if !errors.Is(err, gitrepo.ErrUncertain) || !retry.IsTransient(err) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestASilentServerDoesNotHoldAStep(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	f.Fault(func(gitrepotest.Request) gitrepotest.Action { return gitrepotest.Delay(time.Minute) })
	r, err := gitrepo.Open(f.URL("gitops"), gitrepo.Options{IdleTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Tip(t.Context(), "main"); !retry.IsTransient(err) || !strings.Contains(err.Error(), "said nothing for too long") {
		t.Errorf("the error is %v", err)
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	t.Parallel()
	for address, says := range map[string]string{
		"https://user:hunter2@git.example.com/a.git": "carries a password",
		"ftp://git.example.com/a.git":                "protocol ftp is not supported",
		"/srv/git/a.git":                             "neither a URL nor user@host:path",
		"https://git.example.com":                    "host or path is missing",
		"ssh://git.example.com/a'b":                  "characters that a shell would read",
		"https://git.example.com/%zz:hunter2@":       "cannot be parsed",
	} {
		_, err := gitrepo.Open(address, gitrepo.Options{})
		if failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestARepositoryThatMovedIsFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	f.Fault(func(q gitrepotest.Request) gitrepotest.Action {
		if strings.HasPrefix(q.Path, "/old/") {
			return gitrepotest.Status(301, http.Header{"Location": {f.URL("gitops") + "/info/refs?" + q.Query}}, "")
		}
		return gitrepotest.Pass()
	})
	r, err := gitrepo.Open(strings.Replace(f.URL("gitops"), "/gitops", "/old/gitops", 1), gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := bump(t, r, "README.md", "through a redirect\n"); err != nil {
		t.Fatal(err)
	}
}
