package gitrepotest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gitBinary runs git without any configuration of the machine or the user.
type gitBinary struct {
	path        string
	httpBackend string
	home        string
}

func findGit(home string) (gitBinary, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return gitBinary{}, err
	}
	libexec, err := exec.Command(path, "--exec-path").Output()
	if err != nil {
		return gitBinary{}, fmt.Errorf("git --exec-path: %w", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(libexec)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return gitBinary{}, err
	}
	return gitBinary{path: path, httpBackend: backend, home: home}, nil
}

// Environ returns the environment of a git process that must not see the configuration of the machine or the user: use
// it for the git CLI as a client in tests. The identity is fixed and nothing ever prompts.
func Environ(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + home,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=true",
		"GIT_AUTHOR_NAME=Sam Sample",
		"GIT_AUTHOR_EMAIL=sam@example.com",
		"GIT_COMMITTER_NAME=Sam Sample",
		"GIT_COMMITTER_EMAIL=sam@example.com",
		"LC_ALL=C",
		"TZ=UTC",
	}
}

func (g gitBinary) env() []string { return Environ(g.home) }

func (g gitBinary) run(dir string, stdin io.Reader, args ...string) (string, error) {
	cmd := exec.Command(g.path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, g.env(), stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// Git runs git in a bare repository and returns its stdout as it is.
func (s *Server) Git(repo string, args ...string) (string, error) {
	return s.git.run(s.RepoDir(repo), nil, args...)
}

// RepoDir returns the directory of a bare repository.
func (s *Server) RepoDir(repo string) string { return filepath.Join(s.root, repo+".git") }

// Hook installs a hook, such as a pre-receive that rejects: `echo no >&2; exit 1`.
func (s *Server) Hook(repo, name, script string) error {
	dir := filepath.Join(s.RepoDir(repo), "hooks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !strings.HasPrefix(script, "#!") {
		script = "#!/bin/sh\n" + script
	}
	return writeExecutable(filepath.Join(dir, name), script)
}

func writeExecutable(path, content string) error {
	// Another goroutine may fork while this process holds the file open for writing; executing it would then fail with
	// "text file busy". A process of its own writes it instead.
	cmd := exec.Command("sh", "-c", `cat >"$1" && chmod 755 "$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}
