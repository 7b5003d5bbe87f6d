package gitrepotest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
)

// client is the git CLI of somebody who uses the server.
type client struct {
	t   *testing.T
	dir string
	env []string
}

func newClient(t *testing.T, env ...string) *client {
	t.Helper()
	dir := t.TempDir()
	return &client{t: t, dir: dir, env: append(gitrepotest.Environ(dir), env...)}
}

func (c *client) try(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *client) git(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// clone clones into work and commits one change there.
func (c *client) clone(url string, options ...string) {
	c.t.Helper()
	c.git(append(append([]string{"clone", "--quiet"}, options...), url, "work")...)
	c.dir = filepath.Join(c.dir, "work")
	if err := os.WriteFile(filepath.Join(c.dir, "a.txt"), []byte("changed\n"), 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.git("commit", "--quiet", "--all", "--message", "Change a")
}

func serve(t *testing.T, o gitrepotest.Options) *gitrepotest.Server {
	t.Helper()
	server := gitrepotest.New(t, o)
	if err := server.CreateRepo("repo", gitrepotest.RepoOptions{Files: map[string]string{"a.txt": "a\n", "dir/b.txt": "b\n"}}); err != nil {
		t.Fatal(err)
	}
	return server
}

// published returns a.txt as it is on the server.
func published(t *testing.T, server *gitrepotest.Server) string {
	t.Helper()
	out, err := server.Git("repo", "show", "main:a.txt")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAGitClientClonesAndPushes(t *testing.T) {
	transports := map[string]struct {
		options gitrepotest.Options
		url     func(*gitrepotest.Server) string
		env     func(*gitrepotest.Server) []string
	}{
		"over http": {
			url: func(s *gitrepotest.Server) string { return s.URL("repo") },
		},
		"over https with the server's own CA": {
			options: gitrepotest.Options{TLS: true},
			url:     func(s *gitrepotest.Server) string { return s.URL("repo") },
			env:     func(s *gitrepotest.Server) []string { return []string{"GIT_SSL_CAINFO=" + s.CAFile()} },
		},
		"over http in protocol version 0": {
			options: gitrepotest.Options{ProtocolV0: true},
			url:     func(s *gitrepotest.Server) string { return s.URL("repo") },
		},
		"over ssh": {
			options: gitrepotest.Options{SSH: true},
			url:     func(s *gitrepotest.Server) string { return s.SSHURL("repo") },
			env: func(s *gitrepotest.Server) []string {
				return []string{fmt.Sprintf("GIT_SSH_COMMAND=ssh -F none -o StrictHostKeyChecking=yes -o UserKnownHostsFile=%s -o IdentitiesOnly=yes -i %s",
					s.KnownHostsFile(), s.ClientKeyFile())}
			},
		},
	}
	for name, tt := range transports {
		t.Run(name, func(t *testing.T) {
			if tt.options.SSH {
				if _, err := exec.LookPath("ssh"); err != nil {
					t.Skip("no ssh client on this machine")
				}
			}
			server := serve(t, tt.options)
			var env []string
			if tt.env != nil {
				env = tt.env(server)
			}
			c := newClient(t, env...)
			c.clone(tt.url(server), "--depth=1")
			c.git("push", "--quiet", "origin", "HEAD:main")
			if got := published(t, server); got != "changed\n" {
				t.Errorf("main:a.txt on the server is %q", got)
			}
			pushes := 0
			for _, r := range server.Requests() {
				if r.Push {
					pushes++
				}
			}
			if pushes != 1 {
				t.Errorf("%d pushes in the log, want 1: %+v", pushes, server.Requests())
			}
			if tt.options.SSH && server.SSHConnections() == 0 {
				t.Error("no ssh connection counted")
			}
		})
	}
}

func TestCredentialsAreRequired(t *testing.T) {
	server := serve(t, gitrepotest.Options{Username: "robot", Password: "s3cret", Token: "t0ken"})
	request := func(set func(*http.Request)) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL("repo")+"/info/refs?service=git-upload-pack", nil)
		if err != nil {
			t.Fatal(err)
		}
		set(r)
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = reply.Body.Close()
		return reply.StatusCode
	}
	for name, tt := range map[string]struct {
		set  func(*http.Request)
		want int
	}{
		"none":                           {func(*http.Request) {}, 401},
		"the right password":             {func(r *http.Request) { r.SetBasicAuth("robot", "s3cret") }, 200},
		"a wrong password":               {func(r *http.Request) { r.SetBasicAuth("robot", "guess") }, 401},
		"the token as a password":        {func(r *http.Request) { r.SetBasicAuth("oauth2", "t0ken") }, 200},
		"the token as a bearer token":    {func(r *http.Request) { r.Header.Set("Authorization", "Bearer t0ken") }, 200},
		"the password as a bearer token": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer s3cret") }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			if got := request(tt.set); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
}

func TestFaultsDoAsTheySay(t *testing.T) {
	onPush := func(a gitrepotest.Action) func(gitrepotest.Request) gitrepotest.Action {
		return func(r gitrepotest.Request) gitrepotest.Action {
			if r.Push {
				return a
			}
			return gitrepotest.Pass()
		}
	}
	for name, tt := range map[string]struct {
		action  gitrepotest.Action
		applied bool
		says    string // of the failed push; empty if it succeeds
	}{
		"pass":         {action: gitrepotest.Pass(), applied: true},
		"a status":     {action: gitrepotest.Status(503, http.Header{"Retry-After": {"1"}}, "later"), says: "503"},
		"an HTML page": {action: gitrepotest.Status(200, http.Header{"Content-Type": {"text/html"}}, "<html>"), says: "protocol error"},
		"drop before":  {action: gitrepotest.DropBefore(), says: "Empty reply"},
		"drop after":   {action: gitrepotest.DropAfter(), applied: true, says: "Empty reply"},
		"cut body":     {action: gitrepotest.CutBody(5), applied: true, says: "hung up"},
		"delay":        {action: gitrepotest.Delay(20 * time.Millisecond), applied: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, gitrepotest.Options{})
			c := newClient(t)
			c.clone(server.URL("repo"))
			server.Fault(onPush(tt.action))
			out, err := c.try("push", "origin", "HEAD:main")
			if tt.says == "" && err != nil {
				t.Errorf("push: %v\n%s", err, out)
			}
			if tt.says != "" && (err == nil || !strings.Contains(out, tt.says)) {
				t.Errorf("push: error %v, output %q, want a failure that says %q", err, out, tt.says)
			}
			if applied := published(t, server) == "changed\n"; applied != tt.applied {
				t.Errorf("push applied: %v, want %v", applied, tt.applied)
			}
		})
	}
}

func TestCallsHappenBeforeAndAfterHandling(t *testing.T) {
	server := serve(t, gitrepotest.Options{})
	c := newClient(t)
	c.clone(server.URL("repo"))
	var seen []string
	look := func() { seen = append(seen, published(t, server)) }
	server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
		if r.Push {
			return gitrepotest.Call(look, look)
		}
		return gitrepotest.Pass()
	})
	c.git("push", "origin", "HEAD:main")
	if diff := cmp.Diff([]string{"a\n", "changed\n"}, seen); diff != "" {
		t.Errorf("main:a.txt before and after (-want +got):\n%s", diff)
	}
}

func TestARejectingHookSpeaks(t *testing.T) {
	server := serve(t, gitrepotest.Options{})
	if err := server.Hook("repo", "pre-receive", "echo main is frozen >&2; exit 1"); err != nil {
		t.Fatal(err)
	}
	c := newClient(t)
	c.clone(server.URL("repo"))
	out, err := c.try("push", "origin", "HEAD:main")
	if err == nil || !strings.Contains(out, "remote: main is frozen") || !strings.Contains(out, "pre-receive hook declined") {
		t.Errorf("push: %v\n%s", err, out)
	}
}

func TestRandomFaultsDependOnSeedAndIndexOnly(t *testing.T) {
	mix := func(seed int64) []gitrepotest.Action {
		fault := gitrepotest.RandomFaults(seed, 0.3)
		actions := make([]gitrepotest.Action, 400)
		var group sync.WaitGroup
		for i := range actions {
			group.Go(func() { actions[i] = fault(gitrepotest.Request{Index: i, Push: i%2 == 0}) })
		}
		group.Wait()
		return actions
	}
	if diff := cmp.Diff(mix(7), mix(7)); diff != "" {
		t.Errorf("two runs with one seed differ:\n%s", diff)
	}
	if cmp.Equal(mix(7), mix(8)) {
		t.Error("two seeds give the same faults")
	}
	var faults, afterFetch int
	for i, action := range mix(7) {
		if !cmp.Equal(action, gitrepotest.Pass()) {
			faults++
		}
		if action.DropAfter && i%2 == 1 {
			afterFetch++
		}
	}
	if faults < 80 || faults > 160 || afterFetch > 0 {
		t.Errorf("%d of 400 requests were hit at a rate of 0.3, %d fetches dropped after handling", faults, afterFetch)
	}
}

func TestChunkedAndCompressedBodiesArrive(t *testing.T) {
	server := serve(t, gitrepotest.Options{})
	body := "0014command=ls-refs\n00010000"
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	_, _ = io.WriteString(writer, body)
	_ = writer.Close()
	for name, tt := range map[string]struct {
		body     io.Reader
		encoding string
	}{
		"with a length":      {body: strings.NewReader(body)},
		"chunked":            {body: io.MultiReader(strings.NewReader(body))},
		"chunked compressed": {body: io.MultiReader(&compressed), encoding: "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL("repo")+"/git-upload-pack", tt.body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-git-upload-pack-request")
			r.Header.Set("Git-Protocol", "version=2")
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			reply, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Body.Close()
			got, err := io.ReadAll(reply.Body)
			if err != nil || !strings.Contains(string(got), "refs/heads/main") {
				t.Errorf("status %d, error %v, body %q", reply.StatusCode, err, got)
			}
		})
	}
}

func TestTheLogCountsWhatWasSent(t *testing.T) {
	server := serve(t, gitrepotest.Options{})
	c := newClient(t)
	c.clone(server.URL("repo"))
	var got []gitrepotest.Request
	for _, r := range server.Requests() {
		if r.BytesOut == 0 || (r.BytesIn > 0) != (r.Method == http.MethodPost) {
			t.Errorf("sizes of %s %s: %d in, %d out", r.Method, r.Path, r.BytesIn, r.BytesOut)
		}
		r.BytesIn, r.BytesOut = 0, 0
		got = append(got, r)
	}
	line := gitrepotest.Request{Protocol: "version=2", Service: gitrepotest.UploadPack, Status: 200}
	get, refs, fetch := line, line, line
	get.Method, get.Path, get.Query = http.MethodGet, "/repo.git/info/refs", "service=git-upload-pack"
	refs.Method, refs.Path, refs.Index = http.MethodPost, "/repo.git/git-upload-pack", 1
	fetch.Method, fetch.Path, fetch.Index = http.MethodPost, "/repo.git/git-upload-pack", 2
	if diff := cmp.Diff([]gitrepotest.Request{get, refs, fetch}, got); diff != "" {
		t.Errorf("log of a clone (-want +got):\n%s", diff)
	}
	server.Reset()
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests after Reset", n)
	}
}

func TestARepositoryHoldsWhatItWasGiven(t *testing.T) {
	server := gitrepotest.New(t, gitrepotest.Options{})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "run.sh"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := server.CreateRepo("repo", gitrepotest.RepoOptions{
		Branch: "trunk",
		Dir:    dir,
		Files:  map[string]string{"caf\xe9 \"x\"": "latin1", "link": "run.sh", "module": strings.Repeat("1", 40)},
		Modes:  map[string]string{"link": "120000", "module": "160000"},
		Config: map[string]string{"uploadpack.allowFilter": "false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Commit("repo", gitrepotest.Commit{
		Branch: "trunk", Message: "Second", Files: map[string]string{"new": "n"}, Delete: []string{"link"},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := server.Git("repo", "ls-tree", "-r", "--format=%(objectmode) %(path)", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	want := "100644 \"caf\\351 \\\"x\\\"\"\n160000 module\n100644 new\n100755 run.sh\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	c := newClient(t)
	out := c.git("clone", "--filter=blob:none", server.URL("repo"), "work")
	if !strings.Contains(out, "filtering not recognized by server") {
		t.Errorf("a server without filters was asked for one and git said:\n%s", out)
	}
}

func TestAKilledClientsRequestIsNotHandled(t *testing.T) {
	server := serve(t, gitrepotest.Options{})
	c := newClient(t)
	c.clone(server.URL("repo"))
	push := exec.CommandContext(t.Context(), "git", "push", "origin", "HEAD:main")
	push.Dir, push.Env = c.dir, c.env
	ready := make(chan struct{})
	server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
		if !r.Push {
			return gitrepotest.Pass()
		}
		return gitrepotest.Action{DropBefore: true, Before: func() {
			<-ready
			_ = push.Process.Kill()
		}}
	})
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	close(ready)
	if err := push.Wait(); err == nil {
		t.Error("a killed push succeeded")
	}
	if got := published(t, server); got != "a\n" {
		t.Errorf("main:a.txt is %q", got)
	}
}

func TestProxy(t *testing.T) {
	plain := serve(t, gitrepotest.Options{})
	secure := serve(t, gitrepotest.Options{TLS: true})
	for name, tt := range map[string]struct {
		server  *gitrepotest.Server
		url     string
		options gitrepotest.ProxyOptions
		user    string
		says    string
	}{
		"forwards": {server: plain, url: "http://git.example.com/repo.git"},
		"tunnels":  {server: secure, url: "https://git.example.com/repo.git"},
		"lets the right user through": {
			server: plain, url: "http://git.example.com/repo.git", user: "me:pw@",
			options: gitrepotest.ProxyOptions{Username: "me", Password: "pw"},
		},
		"refuses everybody else": {
			server: plain, url: "http://git.example.com/repo.git", says: "407",
			options: gitrepotest.ProxyOptions{Username: "me", Password: "pw"},
		},
		"answers with its own page": {
			server: plain, url: "http://git.example.com/repo.git", says: "502",
			options: gitrepotest.ProxyOptions{Reply: &gitrepotest.Reply{Status: 502, Body: "<html>blocked</html>"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tt.options.Upstream = tt.server.Addr()
			proxy := gitrepotest.NewProxy(t, tt.options)
			address := strings.Replace(proxy.URL(), "://", "://"+tt.user, 1)
			c := newClient(t, "http_proxy="+address, "https_proxy="+address, "GIT_SSL_CAINFO="+tt.server.CAFile())
			out, err := c.try("ls-remote", tt.url)
			if tt.says == "" && (err != nil || !strings.Contains(out, "refs/heads/main")) {
				t.Errorf("ls-remote: %v\n%s", err, out)
			}
			if tt.says != "" && (err == nil || !strings.Contains(out, tt.says)) {
				t.Errorf("ls-remote: %v, want a failure that says %q\n%s", err, tt.says, out)
			}
			if proxy.Requests() == 0 {
				t.Error("the proxy saw no request")
			}
		})
	}
}

func TestFiftyClientsAtOnceAreServed(t *testing.T) {
	server := serve(t, gitrepotest.Options{})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL("repo")+"/info/refs?service=git-receive-pack", nil)
			if err != nil {
				t.Error(err)
				return
			}
			reply, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer reply.Body.Close()
			if body, err := io.ReadAll(reply.Body); err != nil || !bytes.Contains(body, []byte("refs/heads/main")) {
				t.Errorf("status %d, error %v", reply.StatusCode, err)
			}
		})
	}
	group.Wait()
	if n := len(server.Requests()); n != 50 {
		t.Errorf("%d requests in the log, want 50", n)
	}
}
