package steps_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"slipway/internal/gitrepotest"
	"slipway/steps"
)

// The passwords need to be escaped in URLs, in JSON and in shells.
const (
	rightPassword = `right/p@ss "w:rd" é+1%`
	wrongPassword = `wrong/p@ss "w:rd" é+1%`
	plainToken    = "glpat-xW3kq9TtYz"
)

// secretScan is a server that tells everything it is told, and a directory in which slipway works with it.
type secretScan struct {
	t        *testing.T
	work     string
	server   *gitrepotest.Server
	front    *httptest.Server
	secrets  []string
	env      []string
	allowed  string // a file that may hold what git wrote into it
	mu       sync.Mutex
	process  *os.Process
	cmdlines []string
	answer   func(w http.ResponseWriter, said string) // nil leaves the answer to the server
}

func newSecretScan(t *testing.T, options gitrepotest.Options) *secretScan {
	t.Helper()
	s := &secretScan{t: t, work: t.TempDir(), server: gitrepotest.New(t, options), secrets: []string{rightPassword, wrongPassword, plainToken}}
	if err := s.server.CreateRepo("gitops", gitrepotest.RepoOptions{Files: map[string]string{
		"shop/prod/kustomization.yaml": "images:\n- name: web\n  newTag: v1\n",
	}}); err != nil {
		t.Fatal(err)
	}
	s.env = append(gitrepotest.Environ(s.work), "NO_PROXY=127.0.0.1", "SLIPWAY_LOG_LEVEL=debug")
	target, err := url.Parse("http://" + s.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	s.front = httptest.NewServer(s.listen(httputil.NewSingleHostReverseProxy(target)))
	t.Cleanup(s.front.Close)
	return s
}

// listen looks at the command line of the process whose request it holds.
func (s *secretScan) listen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.process != nil && runtime.GOOS == "linux" {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.process.Pid))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.t.Error(err)
			}
			if len(line) > 0 { // it has none any more when it has just given up
				s.cmdlines = append(s.cmdlines, string(line))
			}
		}
		if s.answer == nil {
			next.ServeHTTP(w, r)
			return
		}
		header := r.Header.Get("Authorization")
		user, password, _ := r.BasicAuth()
		said := fmt.Sprintf("Authorization: %s is %s:%s, %s, %s, %q", header, user, password,
			url.UserPassword(user, password), url.QueryEscape(password), password)
		s.answer(w, said)
	})
}

func (s *secretScan) url(user *url.Userinfo) string {
	u := url.URL{Scheme: "http", User: user, Host: strings.TrimPrefix(s.front.URL, "http://"), Path: "/gitops.git"}
	return u.String()
}

// slipway runs a step that must exit with the code, and scans everything that can be read afterwards.
func (s *secretScan) slipway(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	program, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	var out, log bytes.Buffer
	cmd := exec.Command(program)
	cmd.Args = append([]string{"slipway"}, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.work, s.env, &out, &log
	s.mu.Lock()
	err = cmd.Start()
	s.process, s.cmdlines = cmd.Process, nil
	s.mu.Unlock()
	if err == nil {
		err = cmd.Wait()
	}
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		s.t.Fatal(err)
	}
	stdout, stderr = out.String(), log.String()
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("%s exits with %d, not %d\n%s%s", args[0], got, code, stdout, stderr)
	}
	if !json.Valid(out.Bytes()) {
		s.t.Errorf("stdout is no JSON: %s", stdout)
	}
	s.scan("stdout", stdout)
	s.scan("stderr", stderr)
	s.mu.Lock()
	if len(s.cmdlines) == 0 && code == steps.ExitOK && runtime.GOOS == "linux" && strings.Contains(strings.Join(args, " "), s.front.URL) {
		s.t.Error("no command line was looked at")
	}
	for _, line := range s.cmdlines {
		if !strings.Contains(line, args[0]) {
			s.t.Errorf("the command line of another process was looked at: %q", line)
		}
		// What the call itself holds is there for everybody; nothing else may be.
		s.scanBeside("the command line", line, strings.Join(args, "\x00"))
	}
	s.mu.Unlock()
	s.scanFiles()
	return stdout, stderr
}

func (s *secretScan) scanFiles() {
	s.t.Helper()
	if err := filepath.WalkDir(s.work, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || path == filepath.Join(s.work, s.allowed) {
			return err
		}
		s.scan("a file name", path)
		data, err := os.ReadFile(path)
		s.scan(path, string(data))
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	objects, err := s.server.Git("gitops", "cat-file", "--batch", "--batch-all-objects")
	if err != nil {
		s.t.Fatal(err)
	}
	s.scan("an object of the repository", objects)
}

func (s *secretScan) scan(where, text string) {
	s.t.Helper()
	s.scanBeside(where, text, "")
}

func (s *secretScan) scanBeside(where, text, known string) {
	s.t.Helper()
	for _, secret := range s.secrets {
		for name, form := range formsOfSecret(secret) {
			if strings.Count(text, form) > strings.Count(known, form) {
				s.t.Errorf("%s has a secret (%s): %s", where, name, excerptAround(text, form))
			}
		}
	}
}

func formsOfSecret(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	userinfo := strings.TrimPrefix(url.UserPassword("", secret).String(), ":")
	return map[string]string{
		"as it is":                   secret,
		"in a query":                 url.QueryEscape(secret),
		"in a path":                  url.PathEscape(secret),
		"in a URL's user":            userinfo,
		"in JSON":                    strings.Trim(string(quoted), `"`),
		"in base64":                  base64.StdEncoding.EncodeToString([]byte(secret)),
		"in base64 for URLs":         base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"in basic authentication":    base64.StdEncoding.EncodeToString([]byte("bot:" + secret)),
		"as a password of oauth2":    base64.StdEncoding.EncodeToString([]byte("oauth2:" + secret)),
		"as a user without password": base64.StdEncoding.EncodeToString([]byte(secret + ":")),
	}
}

func excerptAround(text, form string) string {
	at := strings.Index(text, form)
	return fmt.Sprintf("%q", text[max(0, at-60):min(len(text), at+len(form)+20)])
}

func (s *secretScan) git(args ...string) {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = s.work, gitrepotest.Environ(s.work)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
}

func (s *secretScan) setTag(dir, tag string) {
	s.t.Helper()
	content := "images:\n- name: web\n  newTag: " + tag + "\n"
	if err := os.WriteFile(filepath.Join(s.work, dir, "shop/prod/kustomization.yaml"), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// release goes the whole way from a checkout to a revert.
func (s *secretScan) release(options ...string) {
	s.t.Helper()
	step := func(args ...string) { s.slipway(steps.ExitOK, append(args, options...)...) }
	step("checkout", "--repo", s.url(nil), "--path", "shop/prod", "--dir", "overlay")
	s.setTag("overlay", "v2")
	step("commit-push", "--dir", "overlay", "--dry-run")
	step("commit-push", "--dir", "overlay", "--job", "shop", "--order", "1")
	step("commit-push", "--dir", "overlay", "--job", "shop", "--order", "1")
	step("revert", "--record", ".slipway/release.json")
}

func TestCredentialsStayWithTheRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options gitrepotest.Options
		env     []string
		flags   []string
		file    string
	}{
		"a password": {
			options: gitrepotest.Options{Username: "bot", Password: rightPassword},
			env:     []string{"SLIPWAY_GIT_USERNAME=bot", "SLIPWAY_GIT_PASSWORD=" + rightPassword},
		},
		"a password that Jenkins bound, with a log in JSON": {
			options: gitrepotest.Options{Username: "bot", Password: rightPassword},
			env:     []string{"GIT_USERNAME=bot", "GIT_PASSWORD=" + rightPassword},
			flags:   []string{"--log-format", "json"},
		},
		"a password in a file": {
			options: gitrepotest.Options{Username: "bot", Password: rightPassword},
			env:     []string{"GIT_USERNAME=bot"},
			file:    rightPassword + "\n",
		},
		"a token": {
			options: gitrepotest.Options{Token: plainToken},
			env:     []string{"SLIPWAY_GIT_TOKEN=" + plainToken},
		},
		"a bearer token": {
			options: gitrepotest.Options{Token: plainToken},
			env:     []string{"SLIPWAY_GIT_TOKEN=" + plainToken},
			flags:   []string{"--git-bearer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecretScan(t, c.options)
			s.env = append(s.env, c.env...)
			if c.file != "" {
				file := filepath.Join(t.TempDir(), "password")
				if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
				s.env = append(s.env, "GIT_PASSWORD_FILE="+file)
			}
			s.release(c.flags...)
		})
	}
}

func TestAnswersThatRepeatTheCredentialsAreRedacted(t *testing.T) {
	t.Parallel()
	page := func(status int, kind string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, said string) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "<p>you sent %s</p>", said)
		}
	}
	for name, c := range map[string]struct {
		code   int
		answer func(http.ResponseWriter, string)
	}{
		"wrong credentials":          {steps.ExitDenied, nil},
		"a refusal":                  {steps.ExitDenied, page(http.StatusUnauthorized, "text/html")},
		"a refusal in plain text":    {steps.ExitDenied, page(http.StatusForbidden, "text/plain")},
		"an error page":              {steps.ExitTransient, page(http.StatusInternalServerError, "text/html")},
		"a login page":               {steps.ExitUsage, page(http.StatusOK, "text/html")},
		"a page of an unknown kind":  {steps.ExitUsage, page(http.StatusOK, "text/bot:"+url.QueryEscape(wrongPassword))},
		"a message of the protocol":  {steps.ExitDenied, protocolError},
		"a redirect to a dead place": {steps.ExitTransient, redirect("http://bot:" + url.QueryEscape(wrongPassword) + "@127.0.0.1:1/x.git/info/refs")},
		"a redirect to no place":     {steps.ExitUsage, redirect("ftp://bot:" + url.QueryEscape(wrongPassword) + "@127.0.0.1:1/x.git/info/refs")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecretScan(t, gitrepotest.Options{Username: "bot", Password: rightPassword})
			s.git("clone", "--quiet", s.server.RepoDir("gitops"), "clone")
			s.setTag("clone", "v2")
			s.env = append(s.env, "SLIPWAY_GIT_USERNAME=bot", "SLIPWAY_GIT_PASSWORD="+wrongPassword,
				"SLIPWAY_RETRY_TIMEOUT=200ms", "SLIPWAY_RETRY_INITIAL=50ms")
			s.answer = c.answer
			s.slipway(c.code, "checkout", "--repo", s.url(nil), "--path", "shop/prod", "--dir", "overlay")
			s.slipway(c.code, "commit-push", "--repo", s.url(nil), "--dir", "clone")
			s.slipway(c.code, "commit-push", "--repo", s.url(nil), "--dir", "clone", "--log-format", "json")
			s.slipway(c.code, "revert", "--repo", s.url(nil), "--release", "R-1")
		})
	}
}

func protocolError(w http.ResponseWriter, said string) {
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	line := "ERR access denied: " + said
	_, _ = fmt.Fprintf(w, "%04x%s", len(line)+4, line)
}

func redirect(to string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

func TestAHookThatRepeatsTheCredentialsIsRedacted(t *testing.T) {
	t.Parallel()
	s := newSecretScan(t, gitrepotest.Options{Username: "bot", Password: rightPassword})
	s.env = append(s.env, "SLIPWAY_GIT_USERNAME=bot", "SLIPWAY_GIT_PASSWORD="+rightPassword)
	said := strings.ReplaceAll(fmt.Sprintf("cannot push to %s with %s", s.url(url.UserPassword("bot", rightPassword)), rightPassword), "'", "")
	if err := s.server.Hook("gitops", "pre-receive", "echo '"+said+"' >&2; exit 1"); err != nil {
		t.Fatal(err)
	}
	s.slipway(steps.ExitOK, "checkout", "--repo", s.url(nil), "--path", "shop/prod", "--dir", "overlay")
	s.setTag("overlay", "v2")
	_, stderr := s.slipway(steps.ExitConflict, "commit-push", "--dir", "overlay")
	if !strings.Contains(stderr, "cannot push to http://bot:***@") {
		t.Errorf("the server's words are not shown: %s", stderr)
	}
}

func TestCredentialsInTheAddressOfACheckoutStayThere(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]*url.Userinfo{
		"right": url.UserPassword("bot", rightPassword),
		"wrong": url.UserPassword("bot", wrongPassword),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecretScan(t, gitrepotest.Options{Username: "bot", Password: rightPassword})
			s.allowed = "clone/.git/config"
			s.git("clone", "--quiet", s.url(url.UserPassword("bot", rightPassword)), "clone")
			s.git("-C", "clone", "remote", "set-url", "origin", s.url(user))
			s.scanFiles()
			before := s.read(s.allowed)
			code := steps.ExitOK
			if name == "wrong" {
				code = steps.ExitDenied
			}
			for _, tag := range []string{"v2", "v3"} {
				s.setTag("clone", tag)
				s.slipway(code, "commit-push", "--dir", "clone", "--path", "shop")
			}
			s.slipway(steps.ExitUsage, "revert", "--dir", "clone", "--record", "none")
			if after := s.read(s.allowed); after != before {
				t.Errorf("%s was changed:\n%s", s.allowed, after)
			}
		})
	}
}

func TestATokenInTheUserOfAnAddressIsWrittenNowhere(t *testing.T) {
	t.Parallel()
	s := newSecretScan(t, gitrepotest.Options{})
	s.slipway(steps.ExitOK, "checkout", "--repo", s.url(url.User(plainToken)), "--path", "shop/prod", "--dir", "overlay")
	s.setTag("overlay", "v2")
	s.slipway(steps.ExitOK, "commit-push", "--dir", "overlay", "--repo", s.url(url.User(plainToken)))
	s.slipway(steps.ExitOK, "revert", "--repo", s.url(url.User(plainToken)), "--record", ".slipway/release.json")
}

func TestASecretThatTheCallHoldsIsNotPublished(t *testing.T) {
	t.Parallel()
	s := newSecretScan(t, gitrepotest.Options{Username: "bot", Password: rightPassword})
	s.env = append(s.env, "SLIPWAY_GIT_USERNAME=bot", "SLIPWAY_GIT_PASSWORD="+rightPassword,
		"SLIPWAY_MESSAGE=deploy with "+rightPassword+" and "+url.QueryEscape(rightPassword),
		"BUILD_URL=https://bot:"+plainToken+"@jenkins.example.com/job/1/",
		"JOB_NAME=shop-"+rightPassword,
		"BUILD_NUMBER=1",
		"GIT_AUTHOR_NAME=bot "+rightPassword,
		"SLIPWAY_RELEASE="+rightPassword,
	)
	s.slipway(steps.ExitOK, "checkout", "--repo", s.url(nil), "--path", "shop/prod", "--dir", "overlay")
	s.setTag("overlay", "v2")
	s.slipway(steps.ExitOK, "commit-push", "--dir", "overlay")
	message, err := s.server.Git("gitops", "log", "-1", "--format=%B", "main")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"deploy with *** and ***\n", "Slipway-Build: https://bot:***@jenkins.example.com/job/1/\n"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message lacks %q:\n%s", want, message)
		}
	}
	// Run again, it finds what it has published.
	stdout, _ := s.slipway(steps.ExitOK, "commit-push", "--dir", "overlay")
	if !strings.Contains(stdout, `"outcome":"unchanged"`) {
		t.Error(stdout)
	}
}

func TestPassphrasesAreRedacted(t *testing.T) {
	t.Parallel()
	s := newSecretScan(t, gitrepotest.Options{SSH: true})
	s.secrets = append(s.secrets, gitrepotest.ClientKeyPassphrase)
	key, err := s.server.EncryptedClientKeyFile()
	if err != nil {
		t.Fatal(err)
	}
	ssh := []string{"--ssh-key-file", key, "--ssh-known-hosts", s.server.KnownHostsFile()}
	checkout := append([]string{"checkout", "--repo", s.server.SSHURL("gitops"), "--path", "shop/prod", "--dir", "overlay"}, ssh...)
	env := s.env
	s.env = append(env[:len(env):len(env)], "SLIPWAY_SSH_KEY_PASSPHRASE="+wrongPassword)
	s.slipway(steps.ExitDenied, checkout...)
	s.env = append(env[:len(env):len(env)], "SLIPWAY_SSH_KEY_PASSPHRASE="+gitrepotest.ClientKeyPassphrase, "SLIPWAY_SIGNING_KEY_FILE="+key)
	s.slipway(steps.ExitOK, checkout...)
	s.setTag("overlay", "v2")
	push := append([]string{"commit-push", "--dir", "overlay", "--message", "the word is " + gitrepotest.ClientKeyPassphrase}, ssh...)
	s.slipway(steps.ExitDenied, push...)
	s.env = append(s.env, "SLIPWAY_SIGNING_KEY_PASSPHRASE="+gitrepotest.ClientKeyPassphrase)
	s.slipway(steps.ExitOK, push...)
}

func (s *secretScan) read(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.work, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}
