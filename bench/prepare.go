package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"slipway/internal/gitrepotest"
)

const (
	kustomizeVersion   = "v5.8.2"
	builtinKustomize   = "v5.8.1" // has the engine that slipway has built in
	kubeconformVersion = "v0.8.0"
	argocdVersion      = "v2.14.21" // the one whose client slipway has built in
)

// bench is a run: its tools, its server and a directory that is removed at the end.
type bench struct {
	settings  settings
	cache     string
	dir       string // removed at the end
	repos     string // served
	slipway   string
	kustomize string
	checkers
	versions string
	env      []string
	server   *server
	copies   int
}

func prepare(ctx context.Context, s settings) (*bench, error) {
	b := &bench{settings: s}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) start(ctx context.Context) error {
	var err error
	if b.cache, err = cacheDir(); err != nil {
		return err
	}
	if err = os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	// Beside the cache, so that repositories can be copied by hard links.
	if b.dir, err = os.MkdirTemp(b.cache, "run-"); err != nil {
		return err
	}
	b.repos = filepath.Join(b.dir, "repos")
	home := filepath.Join(b.dir, "home")
	b.env = append(gitrepotest.Environ(home), "NO_COLOR=1")
	if err = errors.Join(os.Mkdir(b.repos, 0o755), os.Mkdir(home, 0o755)); err != nil {
		return err
	}
	if err = b.buildTools(ctx); err != nil {
		return err
	}
	git, err := exec.CommandContext(ctx, "git", "version").Output()
	if err != nil {
		return err
	}
	b.versions = fmt.Sprintf("%s, kustomize %s", strings.TrimSpace(string(git)), kustomizeVersion)
	b.server, err = startServer(b.repos)
	return err
}

func (b *bench) close() error {
	var errs []error
	if b.server != nil {
		errs = append(errs, b.server.close())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

func (b *bench) buildTools(ctx context.Context) error {
	b.slipway = filepath.Join(b.dir, "slipway")
	progress("building slipway")
	if err := goCommand(ctx, "", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.slipway, "slipway"); err != nil {
		return err
	}
	var err error
	b.kustomize, err = b.installed(ctx, "kustomize", "sigs.k8s.io/kustomize/kustomize/v5", kustomizeVersion)
	return err
}

// checkers are what slipway validate is compared with.
type checkers struct {
	kustomizes  map[string]string // by version
	kubeconform string
	schemas     string
}

func (b *bench) buildCheckers(ctx context.Context) error {
	older, err := b.installed(ctx, "kustomize", "sigs.k8s.io/kustomize/kustomize/v5", builtinKustomize)
	if err != nil {
		return err
	}
	b.kustomizes = map[string]string{builtinKustomize: older, kustomizeVersion: b.kustomize}
	if b.kubeconform, err = b.installed(ctx, "kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", kubeconformVersion); err != nil {
		return err
	}
	b.schemas = filepath.Join(b.cache, "schemas-"+kubernetesVersion)
	if _, err := os.Stat(b.schemas); err == nil {
		return nil
	}
	progress("making JSON schemas of Kubernetes %s", kubernetesVersion)
	return b.self(ctx, "schemas", b.schemas)
}

// self runs this program as a process of its own.
func (b *bench) self(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// installed returns the program of a Go package, built once.
func (b *bench) installed(ctx context.Context, name, pkg, version string) (string, error) {
	bin := filepath.Join(b.cache, name+"-"+version)
	program := filepath.Join(bin, name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	progress("building %s %s", name, version)
	return program, goCommand(ctx, bin, "install", pkg+"@"+version)
}

// argocdCommand returns the argocd command, built once and, since it cannot be installed, as its own go.mod says.
func (b *bench) argocdCommand(ctx context.Context) (string, error) {
	program := filepath.Join(b.cache, "argocd-"+argocdVersion, "argocd")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	progress("building argocd %s, which takes some minutes", argocdVersion)
	dir, err := moduleDir(ctx, "github.com/argoproj/argo-cd/v2@"+argocdVersion)
	if err != nil {
		return "", err
	}
	return program, goCommand(ctx, "", "build", "-C", dir, "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd")
}

// moduleDir is where the files of a module are.
func moduleDir(ctx context.Context, module string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("go mod download: %w\n%s", err, out)
	}
	var downloaded struct{ Dir string }
	err = json.Unmarshal(out, &downloaded)
	return downloaded.Dir, err
}

func goCommand(ctx context.Context, bin string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+bin), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// generated makes sure that a repository is in the cache and that its packs are in the page cache.
func (b *bench) generated(ctx context.Context, size scale) error {
	repo := filepath.Join(b.cache, size.name+".git")
	if _, err := os.Stat(repo); errors.Is(err, fs.ErrNotExist) {
		progress("generating it, once")
		if err := b.self(ctx, "generate", b.cache, size.name); err != nil {
			return err
		}
	}
	return filepath.WalkDir(repo, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return copyFile(path, os.DevNull)
	})
}

// fresh serves a new copy of a repository and returns its name.
func (b *bench) fresh(size scale) (string, error) {
	b.copies++
	name := fmt.Sprintf("%s-%d", size.name, b.copies)
	from, to := filepath.Join(b.cache, size.name+".git"), filepath.Join(b.repos, name+".git")
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case strings.HasPrefix(relative, "objects"):
			return os.Link(path, target) // Git never changes these, it only replaces them
		default:
			return copyFile(path, target)
		}
	})
	return name, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// inRepo runs git in a served repository, past the server.
func (b *bench) inRepo(repo string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stderr = filepath.Join(b.repos, repo+".git"), b.env, os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
