// Command servers serves what the pipelines of the tests work with: the Git server and the Argo CD of slipway's own tests. It
// prints one line of JSON for each line that it is told, the first one unasked, and ends when its stdin does:
//
//	world NAME            a repository of that name with the files of -files, and an application of that name that is at its tip
//	app NAME WORLD PATH   another application, of another directory of that repository
//	rollout NAME OUTCOME  what becomes of the application, now and when it changes: healthy, progressing or crash
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
)

const (
	username = "bot"
	overlay  = "services/shop/overlays/prod"
)

func main() {
	files := flag.String("files", "examples/gitops-repo", "the directory with the files of every repository")
	password := flag.String("password", "", "the password of the Git server's user, who is called "+username)
	flag.Parse()
	if err := serve(*files, *password, os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

type servers struct {
	git    *gitrepotest.Server
	argocd *argocdtest.Server
	files  string
}

func serve(files, password string, told io.Reader, answers io.Writer) (err error) {
	root, err := os.MkdirTemp("", "slipway-servers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	s := &servers{files: files}
	if s.git, err = gitrepotest.Start(gitrepotest.Options{Dir: root, Username: username, Password: password}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.git.Close()) }()
	s.argocd, err = argocdtest.Start(argocdtest.Options{
		ProgressingFor: 100 * time.Millisecond,
		// Argo CD has a password of its own: here it reads the files behind the server.
		GitEnv: []string{
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + root + "/.insteadOf", "GIT_CONFIG_VALUE_0=" + strings.TrimSuffix(s.git.URL(""), ".git"),
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.argocd.Close()) }()

	answer := json.NewEncoder(answers)
	if err := answer.Encode(map[string]string{
		"argocd": s.argocd.Addr(), "token": s.argocd.Token("admin", time.Time{}), "username": username, "password": password,
	}); err != nil {
		return err
	}
	lines := bufio.NewScanner(told)
	for lines.Scan() {
		reply, err := s.do(strings.Fields(lines.Text()))
		if err != nil {
			reply = map[string]string{"error": err.Error()}
		}
		if err := answer.Encode(reply); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (s *servers) do(words []string) (map[string]string, error) {
	switch {
	case len(words) == 2 && words[0] == "world":
		return s.world(words[1])
	case len(words) == 4 && words[0] == "app":
		return map[string]string{}, s.app(words[1], words[2], words[3])
	case len(words) == 3 && words[0] == "rollout":
		outcomes := map[string]argocdtest.Outcome{
			"healthy": argocdtest.Healthy(0), "progressing": argocdtest.Progressing(), "crash": argocdtest.CrashLoop("panic: no database\n", 0),
		}
		outcome, ok := outcomes[words[2]]
		if !ok {
			return nil, fmt.Errorf("rollout: no outcome %s", words[2])
		}
		if err := s.argocd.Rollout(words[1], func(argocdtest.Workload) argocdtest.Outcome { return outcome }); err != nil {
			return nil, err
		}
		return map[string]string{}, s.argocd.Become(words[1], "Deployment", "shop-web", outcome)
	}
	return nil, fmt.Errorf("unknown: %s", strings.Join(words, " "))
}

func (s *servers) world(name string) (map[string]string, error) {
	if err := s.git.CreateRepo(name, gitrepotest.RepoOptions{Dir: s.files}); err != nil {
		return nil, err
	}
	if err := s.app(name, name, overlay); err != nil {
		return nil, err
	}
	return map[string]string{"url": s.git.URL(name), "dir": s.git.RepoDir(name), "app": name, "path": overlay}, nil
}

func (s *servers) app(name, world, path string) error {
	return s.argocd.AddApp(argocdtest.App{Name: name, Repo: s.git.URL(world), Path: path, Revision: "main", Deployed: true})
}
