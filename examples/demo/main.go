// Command demo shows what slipway promises, on a real Git server and an Argo CD in process: two pipelines release into one
// kustomization at the same time, both again, and then one of them is reverted; an overlay that is broken is refused; one image
// is released until it is healthy, and one that crashes is taken back; and of three that somebody is asked about one is kept by
// silence, one is approved and one rejected. It exits non-zero if anything is not as promised, and leaves nothing behind. In
// files that are named as arguments it renews the transcript that they show. With -serve it does none of this, and keeps its
// servers until it is interrupted.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
)

const (
	repository = "gitops"
	overlay    = "services/shop/overlays/prod"
	file       = overlay + "/kustomization.yaml"
	registry   = "registry.example.com/shop/"
)

func main() {
	serve := flag.Bool("serve", false, "keep the servers until Ctrl-C, to try slipway with them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, *serve)
	interrupted := ctx.Err() != nil && !*serve // which is how that ends
	stop()
	if interrupted {
		say("\ninterrupted\n")
		os.Exit(130)
	}
	if err != nil {
		say("\n%s %v\n", paint(red, "not as promised:"), err)
		os.Exit(1)
	}
}

// pipeline is the part of a Jenkins job that releases one image of the shop.
type pipeline struct {
	name, image, tag, build string
}

// stage is what the pipelines work with.
type stage struct {
	server  *gitrepotest.Server
	argocd  *argocdtest.Server
	env     []string // besides gitrepotest's
	dir     string
	slipway string

	transcript strings.Builder // of the release that crashes
}

func demo(ctx context.Context, serve bool) (err error) {
	s := &stage{}
	defer func() { err = errors.Join(err, s.strike()) }() //nolint:contextcheck // what was started is closed also after an interrupt
	if err := s.set(ctx); err != nil {
		return err
	}
	if serve {
		return s.serve(ctx)
	}
	web := pipeline{name: "shop/web", image: "shop-web", tag: "5.1.0", build: "42"}
	worker := pipeline{name: "shop/worker", image: "shop-worker", tag: "5.2.0", build: "17"}
	before, err := s.show("main:" + file)
	if err != nil {
		return err
	}

	say("\n%s\n", paint(bold, "Two pipelines release at once, into one file"))
	released, err := s.release(ctx, "changed", web, worker)
	if err != nil {
		return err
	}
	if err := s.check("both landed, one commit each", before, 2, web.tag, worker.tag); err != nil {
		return err
	}

	say("\n%s\n", paint(bold, "Both run once more, as when Jenkins restarts a build"))
	if _, err := s.release(ctx, "unchanged", web, worker); err != nil {
		return err
	}
	if err := s.check("nothing has changed", before, 2, web.tag, worker.tag); err != nil {
		return err
	}

	say("\n%s\n", paint(bold, "The web release is rejected"))
	revert := []string{"revert", "--repo", s.server.URL(repository), "--commit", released[0]}
	for _, outcome := range []string{"changed", "unchanged"} {
		if _, err := s.run(ctx, "", outcome, revert...); err != nil {
			return err
		}
	}
	if err := s.check("web is back to what it was, worker stays, once more one commit", before, 3, "5.0.3", worker.tag); err != nil {
		return err
	}

	say("\n%s\n", paint(bold, "Somebody breaks an overlay"))
	if err := s.refuse(ctx); err != nil {
		return err
	}
	if err := s.check("it is refused before it is published", before, 3, "5.0.3", worker.tag); err != nil {
		return err
	}

	if err := s.serveArgoCD(); err != nil { //nolint:contextcheck // the server is closed, not cancelled
		return err
	}
	if err := s.releaseToCluster(ctx); err != nil {
		return err
	}
	if err := s.askForApproval(ctx); err != nil {
		return err
	}

	log, err := s.server.Git(repository, "log", "--stat", "main")
	say("\n%s git log --stat\n%s", paint(bold, "$"), log)
	return errors.Join(err, showIn(flag.Args(), s.transcript.String()))
}

// set builds slipway and serves the sample repository.
func (s *stage) set(ctx context.Context) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "slipway-demo-"); err != nil {
		return err
	}
	s.slipway = filepath.Join(s.dir, "slipway")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", s.slipway, "slipway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	sample := filepath.Join(strings.TrimSpace(string(module)), "examples", "gitops-repo")
	if s.server, err = gitrepotest.Start(gitrepotest.Options{}); err != nil {
		return err
	}
	say("A Git server with the repository of examples/gitops-repo: %s\n", s.server.URL(repository))
	return s.server.CreateRepo(repository, gitrepotest.RepoOptions{Dir: sample})
}

func (s *stage) strike() error {
	var errs []error
	if s.argocd != nil {
		errs = append(errs, s.argocd.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// release runs the pipelines at the same time and returns the revisions that they report.
func (s *stage) release(ctx context.Context, outcome string, pipelines ...pipeline) ([]string, error) {
	revisions, errs := make([]string, len(pipelines)), make([]error, len(pipelines))
	var group sync.WaitGroup
	for i, p := range pipelines {
		group.Go(func() { revisions[i], errs[i] = s.pipeline(ctx, outcome, p) })
	}
	group.Wait()
	return revisions, errors.Join(errs...)
}

func (s *stage) pipeline(ctx context.Context, outcome string, p pipeline) (string, error) {
	checkout := p.image + "-" + outcome // each build has a workspace of its own
	if _, err := s.run(ctx, p.name, "changed",
		"checkout", "--repo", s.server.URL(repository), "--path", overlay, "--dir", checkout); err != nil {
		return "", err
	}
	if _, err := s.run(ctx, p.name, outcome,
		"set-image", "--dir", checkout, "--path", overlay, "--image", registry+p.image+":"+p.tag); err != nil {
		return "", err
	}
	if _, err := s.run(ctx, p.name, "unchanged", "validate", "--dir", checkout, "--path", overlay); err != nil {
		return "", err
	}
	return s.run(ctx, p.name, outcome,
		"commit-push", "--dir", checkout, "--path", overlay, "--job", p.name, "--order", p.build)
}

// refuse breaks a checkout by a typo and has validate find it.
func (s *stage) refuse(ctx context.Context) error {
	const checkout = "broken"
	if _, err := s.run(ctx, "", "changed", "checkout", "--repo", s.server.URL(repository), "--path", overlay, "--dir", checkout); err != nil {
		return err
	}
	name := filepath.Join(s.dir, checkout, file)
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	say("%s echo 'patches: [{path: memroy.yaml}]' >>%s\n", paint(bold, "$"), filepath.Join(checkout, file))
	if err := os.WriteFile(name, append(data, "\npatches: [{path: memroy.yaml}]\n"...), 0o600); err != nil {
		return err
	}
	var exit *exec.ExitError
	if _, err := s.run(ctx, "", "", "validate", "--dir", checkout, "--path", overlay); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		return fmt.Errorf("validate of a broken overlay: %w", cmp.Or(err, errors.New("it passed")))
	}
	return nil
}

// result is what a step says on stdout.
type result struct {
	Outcome string
	Details struct{ Revision string }
}

// run runs a step, prints it with its result, and returns the revision that it reports.
func (s *stage) run(ctx context.Context, who, outcome string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.slipway, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, append(gitrepotest.Environ(s.dir), s.env...), &stdout, &stderr
	err := cmd.Run()
	say("%s %s\n%s%s", paint(bold, strings.TrimSpace(who+" $")), "slipway "+strings.Join(args, " "), stderr.Bytes(), stdout.Bytes())
	if err != nil {
		return "", fmt.Errorf("slipway %s: %w", args[0], err)
	}
	var r result
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return "", fmt.Errorf("slipway %s: its result: %w", args[0], err)
	}
	if r.Outcome != outcome {
		return "", fmt.Errorf("slipway %s: the outcome is %q, not %q", args[0], r.Outcome, outcome)
	}
	return r.Details.Revision, nil
}

// check compares the server with a promise: so many commits beyond the first, and the kustomization as it was before but
// for the two tags.
func (s *stage) check(promise, before string, commits int, webTag, workerTag string) error {
	count, err := s.server.Git(repository, "rev-list", "--count", "main")
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(count); got != fmt.Sprint(commits+1) {
		return fmt.Errorf("%s: %s commits, not %d", promise, got, commits+1)
	}
	got, err := s.show("main:" + file)
	if err != nil {
		return err
	}
	want := strings.NewReplacer("newTag: 5.0.3", "newTag: "+webTag, "newTag: 5.0.1", "newTag: "+workerTag).Replace(before)
	if got != want {
		return fmt.Errorf("%s: %s is\n%s\nnot\n%s", promise, file, got, want)
	}
	say("%s %s\n", paint(green, "ok:"), promise)
	return nil
}

func (s *stage) show(object string) (string, error) { return s.server.Git(repository, "show", object) }

var printing sync.Mutex

func say(format string, args ...any) {
	printing.Lock()
	defer printing.Unlock()
	_, _ = fmt.Fprintf(io.MultiWriter(os.Stdout, recorder), format, args...)
}

const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
)

// paint colours text where somebody looks at it and has not asked for plain text.
func paint(colour, text string) string {
	info, err := os.Stdout.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return colour + text + "\x1b[0m"
}
