package steps_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/gitrepotest"
)

// gitServerRepo is the repository of a story's server.
const gitServerRepo = "gitops"

type gitServerKey struct{}

// gitServer drives the real Git server of a story:
//
//	gitserver start DIR             serve a repository with the files of DIR on its branch main; sets GIT_URL
//	gitserver start DIR PASSWORD    the same, for those who know the password
//	gitserver start -OPTION DIR     also -tls (sets GIT_CA_FILE), -ssh (sets GIT_SSH_URL, GIT_SSH_KEY, GIT_SSH_LOCKED_KEY,
//	                                GIT_KNOWN_HOSTS), -empty (no commit), -plain (no partial fetch),
//	                                -skew=DURATION (how far its clock is ahead)
//	gitserver proxy                 start a proxy that leads every host to the server; sets PROXY_URL
//	gitserver proxy CODE FILE       start one that answers everything with this page
//	gitserver answer CODE FILE [HEADER:VALUE]  answer all requests with this page
//	gitserver read-only             take no pushes
//	gitserver heal                  no more faults
//	gitserver fail-next CODE        answer the next request with this status
//	gitserver fail-push CODE        answer the next push with this status
//	gitserver drop-reply            apply the next push and close the connection instead of answering
//	gitserver hook NAME FILE        install a hook
//	gitserver commit PATH FILE      commit the content of FILE as PATH onto main, as another writer does
//	gitserver git ARGUMENT...       run git in the bare repository
//	gitserver approval STATE        wait until an approval has the state; sets ID
//	gitserver pushes N              check how many pushes have arrived
//	gitserver untouched CODE PROGRAM [ARGUMENT...]  run a program that must exit with the code, say why in JSON, and
//	                                change nothing: no ref of the server, no file of the story
func gitServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: gitserver start|fail-next|fail-push|drop-reply|hook|commit|git ...")
	}
	switch args[0] {
	case "start":
		startGitServer(ts, args[1:])
		return
	case "untouched":
		untouched(ts, args[1:])
		return
	}
	server, ok := ts.Value(gitServerKey{}).(**gitrepotest.Server)
	if !ok || *server == nil {
		ts.Fatalf("gitserver %s: no server was started", args[0])
	}
	ts.Check(tellGitServer(ts, *server, args[0], args[1:]))
}

func startGitServer(ts *testscript.TestScript, args []string) {
	var options gitrepotest.Options
	var repo gitrepotest.RepoOptions
	for ; len(args) > 0 && strings.HasPrefix(args[0], "-"); args = args[1:] {
		name, value, _ := strings.Cut(args[0], "=")
		switch name {
		case "-skew":
			var err error
			options.Skew, err = time.ParseDuration(value)
			ts.Check(err)
		case "-tls":
			options.TLS = true
		case "-ssh":
			options.SSH = true
		case "-empty":
			repo.Empty = true
		case "-plain":
			repo.Config = map[string]string{"uploadpack.allowFilter": "false"}
		default:
			ts.Fatalf("gitserver start: no option %s", args[0])
		}
	}
	if len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: gitserver start [-OPTION...] DIR [PASSWORD]")
	}
	if len(args) == 2 {
		options.Username, options.Password = "bot", args[1]
	}
	server, err := gitrepotest.Start(options)
	ts.Check(err)
	ts.Defer(func() { _ = server.Close() })
	repo.Dir = ts.MkAbs(args[0])
	ts.Check(server.CreateRepo(gitServerRepo, repo))
	ts.Setenv("GIT_URL", server.URL(gitServerRepo))
	if options.TLS {
		ts.Setenv("GIT_CA_FILE", server.CAFile())
	}
	if options.SSH {
		locked, err := server.EncryptedClientKeyFile()
		ts.Check(err)
		ts.Setenv("GIT_SSH_URL", server.SSHURL(gitServerRepo))
		ts.Setenv("GIT_SSH_KEY", server.ClientKeyFile())
		ts.Setenv("GIT_SSH_LOCKED_KEY", locked)
		ts.Setenv("GIT_KNOWN_HOSTS", server.KnownHostsFile())
	}
	*ts.Value(gitServerKey{}).(**gitrepotest.Server) = server
}

func tellGitServer(ts *testscript.TestScript, server *gitrepotest.Server, what string, args []string) error {
	switch {
	case what == "fail-next" && len(args) == 1, what == "fail-push" && len(args) == 1:
		code, err := strconv.Atoi(args[0])
		faultOnce(server, what == "fail-push", gitrepotest.Status(code, nil, "story says so"))
		return err
	case what == "drop-reply" && len(args) == 0:
		faultOnce(server, true, gitrepotest.DropAfter())
		return nil
	case what == "hook" && len(args) == 2:
		return server.Hook(gitServerRepo, args[0], ts.ReadFile(args[1]))
	case what == "commit" && len(args) == 2:
		files := map[string]string{args[0]: ts.ReadFile(args[1])}
		_, err := server.Commit(gitServerRepo, gitrepotest.Commit{Files: files, Message: "Change " + args[0]})
		return err
	case what == "proxy" && (len(args) == 0 || len(args) == 2):
		return startProxy(ts, server, args)
	case what == "answer" && len(args) > 1:
		reply, err := replyOf(ts, args)
		server.Fault(func(gitrepotest.Request) gitrepotest.Action { return gitrepotest.Action{Reply: reply} })
		return err
	case what == "read-only" && len(args) == 0:
		server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
			if r.Service == gitrepotest.ReceivePack {
				return gitrepotest.Status(http.StatusForbidden, nil, "You are not allowed to push code to this project.")
			}
			return gitrepotest.Pass()
		})
		return nil
	case what == "heal" && len(args) == 0:
		server.Fault(nil)
		return nil
	case what == "approval" && len(args) == 1:
		return awaitRecord(ts, server, args[0])
	case what == "pushes" && len(args) == 1:
		return checkPushes(server, args[0])
	case what == "git":
		out, err := server.Git(gitServerRepo, args...)
		_, _ = fmt.Fprint(ts.Stdout(), out)
		return err
	}
	return fmt.Errorf("gitserver %s: unknown, or the number of arguments is wrong", what)
}

func faultOnce(server *gitrepotest.Server, pushOnly bool, action gitrepotest.Action) {
	var done atomic.Bool
	server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
		if pushOnly && !r.Push || done.Swap(true) {
			return gitrepotest.Pass()
		}
		return action
	})
}

func startProxy(ts *testscript.TestScript, server *gitrepotest.Server, args []string) error {
	options := gitrepotest.ProxyOptions{Upstream: server.Addr()}
	if len(args) > 0 {
		reply, err := replyOf(ts, args)
		if err != nil {
			return err
		}
		options.Reply = reply
	}
	return proxyTo(ts, options)
}

func proxyTo(ts *testscript.TestScript, options gitrepotest.ProxyOptions) error {
	proxy, err := gitrepotest.StartProxy(options)
	if err != nil {
		return err
	}
	ts.Defer(func() { _ = proxy.Close() })
	ts.Setenv("PROXY_URL", proxy.URL())
	return nil
}

// replyOf reads CODE FILE [HEADER:VALUE...]; a page of HTML says that it is one.
func replyOf(ts *testscript.TestScript, args []string) (*gitrepotest.Reply, error) {
	code, err := strconv.Atoi(args[0])
	header := http.Header{}
	if strings.HasSuffix(args[1], ".html") {
		header.Set("Content-Type", "text/html; charset=utf-8")
	}
	for _, field := range args[2:] {
		name, value, _ := strings.Cut(field, ":")
		header.Set(name, value)
	}
	return &gitrepotest.Reply{Status: code, Header: header, Body: ts.ReadFile(args[1])}, err
}

// awaitRecord looks at the records as Git has them.
func awaitRecord(ts *testscript.TestScript, server *gitrepotest.Server, state string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var found []string
	for range 500 {
		refs, err := server.Git(gitServerRepo, "for-each-ref", "--format=%(objectname)", "refs/slipway/approvals")
		if err != nil {
			return err
		}
		found = nil
		for commit := range strings.FieldsSeq(refs) {
			var record struct{ ID, State string }
			data, err := server.Git(gitServerRepo, "cat-file", "blob", commit+":approval.json")
			if err := errors.Join(err, json.Unmarshal([]byte(data), &record)); err != nil {
				return err
			}
			if record.State == state {
				ts.Setenv("ID", record.ID)
				return nil
			}
			found = append(found, record.State)
		}
		<-ticker.C
	}
	return fmt.Errorf("of the approvals, %v, none is %s", found, state)
}

func checkPushes(server *gitrepotest.Server, want string) error {
	got := 0
	for _, r := range server.Requests() {
		if r.Push {
			got++
		}
	}
	if strconv.Itoa(got) != want {
		return fmt.Errorf("%d pushes have arrived, not %s", got, want)
	}
	return nil
}

// categories are what the JSON says beside an exit code.
var categories = map[string]string{
	"1": "failure", "2": "usage", "3": "invalid", "4": "conflict", "5": "transient", "6": "superseded", "9": "denied",
}

func untouched(ts *testscript.TestScript, args []string) {
	before := stateOfStory(ts)
	exits(ts, false, args)
	if diff := cmp.Diff(before, stateOfStory(ts)); diff != "" {
		ts.Fatalf("something was changed (-before +after):\n%s", diff)
	}
	var document struct {
		Error struct{ Category, Message, Hint string }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &document))
	said := document.Error
	if want := categories[args[0]]; said.Category != want || said.Message == "" || said.Hint == "" {
		ts.Fatalf("stdout is no error of the category %s with a message and a hint", want)
	}
	for _, text := range []string{said.Hint, strings.SplitN(said.Message, "\n", 2)[0]} {
		if !strings.Contains(ts.ReadFile("stderr"), text) {
			ts.Fatalf("stderr does not say %q", text)
		}
	}
}

// stateOfStory describes all files of a story, those of Git included, and the refs of its server.
func stateOfStory(ts *testscript.TestScript) map[string]string {
	state := map[string]string{}
	root := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%x", sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		state[path] = info.Mode().String() + " " + content
		return nil
	}))
	if server := *ts.Value(gitServerKey{}).(**gitrepotest.Server); server != nil {
		refs, err := server.Git(gitServerRepo, "for-each-ref")
		ts.Check(err)
		state["refs of the server"] = refs
	}
	return state
}
