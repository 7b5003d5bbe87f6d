package steps_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/steps"
)

// program builds slipway as it is released, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	// Beside the commands of the stories, whose directory is removed when the tests end.
	command, err := exec.LookPath("slipway")
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(command), "slipway-program")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// site is a repository on a server of its own, and checkouts of it in the directory work.
type site struct {
	t      *testing.T
	server *gitrepotest.Server
	state  string // everything that steps change: the repository and the checkouts
	work   string
	home   string
	env    []string // besides gitrepotest's
	// othersFiles are changed by othersRelease too.
	othersFiles map[string]string
	ends        int // the exit code of a step that is to be killed and is not
}

func newSite(t *testing.T, files map[string]string) *site {
	t.Helper()
	state := t.TempDir()
	s := &site{t: t, state: state, work: filepath.Join(state, "work"), home: t.TempDir()}
	if err := os.Mkdir(s.work, 0o755); err != nil {
		t.Fatal(err)
	}
	s.server = gitrepotest.New(t, gitrepotest.Options{Dir: filepath.Join(state, "server")})
	if err := s.server.CreateRepo("gitops", gitrepotest.RepoOptions{Files: files}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) url() string { return s.server.URL("gitops") }

// at returns the path of a file or directory in a checkout.
func (s *site) at(name string) string { return filepath.Join(s.work, name) }

// commit is what other writers do.
func (s *site) commit(files map[string]string) {
	s.t.Helper()
	if _, err := s.server.Commit("gitops", gitrepotest.Commit{Files: files, Message: "Somebody else's change"}); err != nil {
		s.t.Fatal(err)
	}
}

// bare runs git in the repository on the server.
func (s *site) bare(args ...string) string {
	s.t.Helper()
	out, err := s.server.Git("gitops", args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (s *site) tip() string { return s.bare("rev-parse", "main") }

func (s *site) tree() string { return s.bare("rev-parse", "main^{tree}") }

// shopNow is the kustomization of the shop at the tip.
func (s *site) shopNow() string { return s.bare("show", "main:"+shopFile) }

// git runs git in the directory work.
func (s *site) git(args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = s.work, gitrepotest.Environ(s.home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// set changes the tag of an image in a checkout.
func (s *site) set(file, image, tag string) {
	s.t.Helper()
	data, err := os.ReadFile(s.at(file))
	if err == nil {
		err = os.WriteFile(s.at(file), []byte(withTag(s.t, string(data), image, tag)), 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// ended is a process that has ended: its exit code, what it printed, and the JSON document among that.
type ended struct {
	code    int
	stderr  string
	Outcome steps.Outcome
	Details struct {
		ID, Revision, Release, Checkout string
		Attempts                        int
	}
	Error struct{ Category, Message string }
}

func (r ended) String() string {
	return fmt.Sprintf("exit %d, %s %+v %s\n%s", r.code, r.Outcome, r.Details, r.Error.Message, r.stderr)
}

// command prepares a process of slipway that runs in the directory work.
func (s *site) command(args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), path, args...)
	cmd.Dir = s.work
	cmd.Env = append(gitrepotest.Environ(s.home), s.env...)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	return cmd
}

// slipway runs a step to its end.
func (s *site) slipway(args ...string) ended {
	s.t.Helper()
	return finish(s.t, s.command(args...))
}

// finish starts a process and waits for its end. Unlike slipway it may be called in any goroutine.
func finish(t *testing.T, cmd *exec.Cmd) ended {
	t.Helper()
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Error(err)
	}
	r := ended{code: cmd.ProcessState.ExitCode(), stderr: fmt.Sprint(cmd.Stderr)}
	if err := json.Unmarshal([]byte(fmt.Sprint(cmd.Stdout)), &r); err != nil {
		t.Errorf("stdout of %v: %v: %s\n%s", cmd.Args[1:], err, cmd.Stdout, r.stderr)
	}
	return r
}

// must runs a step that has to succeed with the outcome.
func (s *site) must(want steps.Outcome, args ...string) ended {
	s.t.Helper()
	r := s.slipway(args...)
	if r.code != steps.ExitOK || r.Outcome != want {
		s.t.Fatalf("slipway %s: want %s, got %v", strings.Join(args, " "), want, r)
	}
	return r
}

// refused runs a step that has to fail with the code.
func (s *site) refused(code int, args ...string) ended {
	s.t.Helper()
	r := s.slipway(args...)
	if r.code != code {
		s.t.Fatalf("slipway %s: want exit %d, got %v", strings.Join(args, " "), code, r)
	}
	return r
}

// trailers returns the values of a trailer on the branch, newest first.
func (s *site) trailers(key string) []string {
	s.t.Helper()
	return strings.Fields(s.bare("log", "--format=%(trailers:key="+key+",valueonly)", "main"))
}

// laidOut returns the files of a checkout, without what belongs to git and slipway.
func (s *site) laidOut(dir string) map[string]string {
	s.t.Helper()
	files := map[string]string{}
	root := s.at(dir)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".git" || entry.Name() == ".slipway" {
				return fs.SkipDir
			}
			return nil
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root)] = string(data)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// cleanGit checks that nothing differs from the tip in a git checkout, and that nothing was left in .git.
func (s *site) cleanGit(dir string) {
	s.t.Helper()
	if status := s.git("-C", dir, "status", "--porcelain"); status != "" {
		s.t.Errorf("git status of %s:\n%s", dir, status)
	}
	if head := strings.TrimSpace(s.git("-C", dir, "rev-parse", "HEAD")); head != s.tip() {
		s.t.Errorf("%s is at %s, not at the tip %s", dir, head, s.tip())
	}
	s.git("-C", dir, "fsck", "--connectivity-only")
	for _, pattern := range []string{"*.lock", "*slipway*"} {
		if left, _ := filepath.Glob(filepath.Join(s.at(dir), ".git", pattern)); len(left) > 0 {
			s.t.Errorf("left behind: %v", left)
		}
	}
}

// kustomization has an entry for each image, all at v1.
func kustomization(images ...string) string {
	var b strings.Builder
	b.WriteString("# What runs here.\nresources:\n  - ../../base\n\nimages:\n")
	for _, image := range images {
		fmt.Fprintf(&b, "  - name: %s\n    newName: registry.example.com/team/%[1]s\n    newTag: v1 # released by pipelines\n", image)
	}
	return b.String()
}

func withTag(t *testing.T, content, image, tag string) string {
	t.Helper()
	entry := regexp.MustCompile(`(/` + image + `\n    newTag: )\S+`)
	if !entry.MatchString(content) {
		t.Fatalf("no image %s in:\n%s", image, content)
	}
	return entry.ReplaceAllString(content, "${1}"+tag)
}

const (
	shopDir  = "services/shop/overlays/prod"
	shopFile = shopDir + "/kustomization.yaml"
	blogFile = "services/blog/overlays/prod/kustomization.yaml"
	record   = "work/.slipway/release.json"
)

// shop is a small GitOps repository.
func shop() map[string]string {
	base := "resources:\n  - deployment.yaml\n"
	deployment := func(images ...string) string {
		text := "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\nspec:\n" +
			"  selector: {matchLabels: {app: app}}\n  template:\n    metadata: {labels: {app: app}}\n    spec:\n      containers:\n"
		for _, image := range images {
			text += fmt.Sprintf("      - {name: %s, image: %[1]s}\n", image)
		}
		return text
	}
	return map[string]string{
		"README.md":                             "# Releases\n",
		shopFile:                                kustomization("shop", "cart"),
		"services/shop/base/kustomization.yaml": base, "services/shop/base/deployment.yaml": deployment("shop", "cart"),
		blogFile:                                kustomization("blog"),
		"services/blog/base/kustomization.yaml": base, "services/blog/base/deployment.yaml": deployment("blog"),
	}
}

// TestEveryStepRunTwiceIsUnchanged is one table over all steps that write.
func TestEveryStepRunTwiceIsUnchanged(t *testing.T) {
	// Each row prepares the checkout named work and returns the step.
	push := []string{"commit-push", "--dir", "work", "--record", record}
	clone := func(options ...string) func(*site) []string {
		return func(s *site) []string {
			s.git(append(append([]string{"clone", "--quiet"}, options...), s.url(), "work")...)
			s.set("work/"+shopFile, "shop", "v2")
			return push
		}
	}
	overlay := func(s *site) {
		s.must(steps.Changed, "checkout", "--repo", s.url(), "--path", shopDir, "--dir", "work")
	}
	// released leaves a git checkout that has released v2.
	released := func(s *site) ended {
		return s.must(steps.Changed, clone("--depth=1")(s)...)
	}
	moved := func(s *site) {
		s.commit(map[string]string{blogFile: withTag(s.t, kustomization("blog"), "blog", "v7"), "new/file": "new\n"})
	}
	table := map[string]struct {
		prepare func(*site) []string
		commits int
		overlay bool // the checkout has no .git
	}{
		"checkout into a new directory": {overlay: true, prepare: func(s *site) []string {
			return []string{"checkout", "--repo", s.url(), "--path", shopDir, "--dir", "work"}
		}},
		"checkout into an older checkout": {overlay: true, prepare: func(s *site) []string {
			overlay(s)
			s.commit(map[string]string{shopFile: withTag(s.t, kustomization("shop", "cart"), "cart", "v3")})
			return []string{"checkout", "--repo", s.url(), "--path", shopDir, "--dir", "work"}
		}},
		"commit-push from a full clone":    {commits: 1, prepare: clone()},
		"commit-push from a shallow clone": {commits: 1, prepare: clone("--depth=1")},
		"commit-push from a partial clone": {commits: 1, prepare: clone("--filter=blob:none")},
		"commit-push limited to a path, below the root": {commits: 1, prepare: func(s *site) []string {
			clone()(s)
			return []string{"commit-push", "--dir", "work/services/shop", "--path", "overlays/prod", "--record", record}
		}},
		"commit-push from a detached HEAD": {commits: 1, prepare: func(s *site) []string {
			s.git("clone", "--quiet", s.url(), "work")
			s.git("-C", "work", "checkout", "--quiet", "--detach")
			s.set("work/"+shopFile, "shop", "v2")
			return push
		}},
		"commit-push as build 7 of a job": {commits: 1, prepare: func(s *site) []string {
			return append(clone("--depth=1")(s), "--job", "shop", "--order", "7")
		}},
		"commit-push of two images and a file": {commits: 1, prepare: func(s *site) []string {
			clone()(s)
			s.set("work/"+shopFile, "cart", "v2")
			s.set("work/"+blogFile, "blog", "v2")
			return push
		}},
		"commit-push from a full clone whose branch moved": {commits: 1, prepare: func(s *site) []string {
			defer moved(s)
			return clone()(s)
		}},
		"commit-push from a shallow clone whose branch moved": {commits: 1, prepare: func(s *site) []string {
			defer moved(s)
			return clone("--depth=1")(s)
		}},
		"commit-push from a slipway checkout": {commits: 1, overlay: true, prepare: func(s *site) []string {
			overlay(s)
			s.set("work/"+shopFile, "shop", "v2")
			return push
		}},
		"commit-push from a slipway checkout whose branch moved": {commits: 1, overlay: true, prepare: func(s *site) []string {
			overlay(s)
			s.set("work/"+shopFile, "shop", "v2")
			s.commit(map[string]string{shopFile: withTag(s.t, kustomization("shop", "cart"), "cart", "v3")})
			return push
		}},
		"release": {commits: 1, prepare: releaseStep},
		"release as build 7 of a job whose branch moved": {commits: 1, prepare: func(s *site) []string {
			moved(s)
			return append(releaseStep(s), "--job", "shop", "--order", "7")
		}},
		"revert by release": {commits: 1, prepare: func(s *site) []string {
			return []string{"revert", "--repo", s.url(), "--release", released(s).Details.Release}
		}},
		"revert by commit": {commits: 1, prepare: func(s *site) []string {
			return []string{"revert", "--repo", s.url(), "--commit", released(s).Details.Revision[:10]}
		}},
		"revert by record": {commits: 1, prepare: func(s *site) []string {
			released(s)
			return []string{"revert", "--repo", s.url(), "--record", record}
		}},
		"revert in a git checkout": {commits: 1, prepare: func(s *site) []string {
			return []string{"revert", "--dir", "work", "--release", released(s).Details.Release}
		}},
		"revert by the record of a git checkout whose branch moved": {commits: 1, prepare: func(s *site) []string {
			released(s)
			moved(s)
			return []string{"revert", "--dir", "work", "--record", record}
		}},
		"revert in a slipway checkout": {commits: 1, overlay: true, prepare: func(s *site) []string {
			overlay(s)
			s.set("work/"+shopFile, "shop", "v2")
			return []string{"revert", "--dir", "work", "--commit", s.must(steps.Changed, push...).Details.Revision}
		}},
	}
	for name, tt := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, shop())
			step := tt.prepare(s)
			before := s.tip()
			first := s.must(steps.Changed, step...)
			tip := s.tip()
			if got := len(strings.Fields(s.bare("rev-list", before+"..main"))); got != tt.commits {
				t.Errorf("%d commits, want %d", got, tt.commits)
			}
			for range 2 {
				again := s.must(steps.Unchanged, step...)
				if again.Details.Revision != first.Details.Revision {
					t.Errorf("revision %s, the first run said %s", again.Details.Revision, first.Details.Revision)
				}
				if s.tip() != tip {
					t.Fatalf("a commit was made:\n%s", s.bare("log", "--stat", tip+"..main"))
				}
			}
			switch {
			case tt.overlay:
				s.must(steps.Unchanged, "checkout", "--repo", s.url(), "--path", shopDir, "--dir", "work")
			case slices.Contains(step, "--dir"):
				s.cleanGit("work")
			}
		})
	}
}

// TestACheckoutHoldsWhatOthersAdded: after a release the directory must be what a new checkout would be, or a build of its
// overlay fails.
func TestACheckoutHoldsWhatOthersAdded(t *testing.T) {
	t.Parallel()
	for name, step := range map[string][]string{
		"after commit-push": {"commit-push", "--dir", "work", "--record", record},
		"after checkout":    {"checkout", "--dir", "work"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, shop())
			checkout := []string{"checkout", "--repo", s.url(), "--path", shopDir}
			s.must(steps.Changed, append(checkout, "--dir", "work")...)
			s.commit(map[string]string{
				"services/shop/base/kustomization.yaml": "resources:\n  - deployment.yaml\n  - service.yaml\n  - ../secret\n",
				"services/shop/base/service.yaml":       "apiVersion: v1\nkind: Service\n",
				"services/shop/secret/a.yaml":           "apiVersion: v1\nkind: Secret\n",
				shopDir + "/patch.yaml":                 "patch: true\n",
			})
			if step[0] == "commit-push" {
				s.set("work/"+shopFile, "shop", "v2")
			} else {
				step = append(checkout, step[1:]...)
			}
			s.must(steps.Changed, step...)
			s.must(steps.Changed, append(checkout, "--dir", "new")...)
			if diff := cmp.Diff(s.laidOut("new"), s.laidOut("work")); diff != "" {
				t.Errorf("the checkout differs from a new one (-new +this):\n%s", diff)
			}
		})
	}
}

// TestSetImageRunTwiceIsUnchanged is the row of the table for the step that knows no remote.
func TestSetImageRunTwiceIsUnchanged(t *testing.T) {
	t.Parallel()
	s := newSite(t, shop())
	s.git("clone", "--quiet", s.url(), "work")
	step := []string{"set-image", "--dir", "work", "--path", shopDir, "--image", "shop:v2", "--record", record}
	s.must(steps.Changed, step...)
	files := s.laidOut("work")
	for range 2 {
		s.must(steps.Unchanged, step...)
		if diff := cmp.Diff(files, s.laidOut("work")); diff != "" {
			t.Errorf("files after another run (-first +now):\n%s", diff)
		}
	}
	if status := s.git("-C", "work", "status", "--porcelain"); status != " M "+shopFile+"\n" {
		t.Errorf("git status:\n%s", status)
	}
}
