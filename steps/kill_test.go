package steps_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/steps"
)

// killCases are steps that something happens to in the middle. prepare leaves the state that each run begins with and
// returns the step; what it does must not depend on the time.
var killCases = map[string]struct {
	prepare func(*site) []string
	// trailer is on exactly one commit of the branch when the step is done, "" for a step that publishes nothing.
	trailer string
	// git and overlay name the kind of checkout in the directory work, if there is one; moves says that it is brought to
	// commits of others, too.
	git, overlay, moves bool
}{
	"checkout into a new directory": {overlay: true, prepare: func(s *site) []string {
		return checkoutStep(s)
	}},
	"checkout into an older checkout": {overlay: true, moves: true, prepare: func(s *site) []string {
		s.must(steps.Changed, checkoutStep(s)...)
		s.othersRelease()
		return checkoutStep(s)
	}},
	"commit-push from a full clone": {trailer: "Slipway-Release", git: true, prepare: func(s *site) []string {
		return s.edited("--quiet")
	}},
	"commit-push from a shallow clone whose branch moved": {trailer: "Slipway-Release", git: true, moves: true, prepare: func(s *site) []string {
		defer s.othersRelease()
		return s.edited("--depth=1")
	}},
	"commit-push of a build from a detached HEAD whose branch moved": {trailer: "Slipway-Release", git: true, moves: true, prepare: func(s *site) []string {
		defer s.othersRelease()
		step := s.edited("--no-tags")
		s.git("-C", "work", "checkout", "--quiet", "--detach")
		return append(step, "--job", "shop", "--order", "7", "--path", ".")
	}},
	"commit-push from a slipway checkout whose branch moved": {trailer: "Slipway-Release", overlay: true, moves: true, prepare: func(s *site) []string {
		s.must(steps.Changed, checkoutStep(s)...)
		s.set("work/"+shopFile, "shop", "v2")
		s.othersRelease()
		return []string{"commit-push", "--dir", "work", "--record", record}
	}},
	"release": {trailer: "Slipway-Release", prepare: releaseStep},
	"release as a build of a job": {trailer: "Slipway-Release", prepare: func(s *site) []string {
		return append(releaseStep(s), "--job", "shop", "--order", "7")
	}},
	"revert without a checkout": {trailer: "Slipway-Reverts", prepare: func(s *site) []string {
		r := s.must(steps.Changed, s.edited("--depth=1")...)
		s.othersRelease()
		return []string{"revert", "--repo", s.url(), "--release", r.Details.Release}
	}},
	"revert by the record of a git checkout whose branch moved": {trailer: "Slipway-Reverts", git: true, moves: true, prepare: func(s *site) []string {
		s.must(steps.Changed, s.edited("--depth=1")...)
		s.othersRelease()
		return []string{"revert", "--dir", "work", "--record", record}
	}},
	"revert in a slipway checkout": {trailer: "Slipway-Reverts", overlay: true, moves: true, prepare: func(s *site) []string {
		s.must(steps.Changed, checkoutStep(s)...)
		s.set("work/"+shopFile, "shop", "v2")
		r := s.must(steps.Changed, "commit-push", "--dir", "work", "--record", record)
		s.othersRelease()
		return []string{"revert", "--dir", "work", "--commit", r.Details.Revision}
	}},
}

func releaseStep(s *site) []string {
	return []string{"release", "--repo", s.url(), "--path", shopDir, "--image", "shop:v2", "--record", record}
}

func checkoutStep(s *site) []string {
	return []string{"checkout", "--repo", s.url(), "--path", shopDir, "--dir", "work"}
}

// edited leaves a clone in which an image was set, and returns the step that publishes it.
func (s *site) edited(cloneOption string) []string {
	s.t.Helper()
	s.git("clone", "--quiet", cloneOption, s.url(), "work")
	s.must(steps.Changed, "set-image", "--dir", "work", "--path", shopDir, "--image", "shop:v2", "--record", record)
	return []string{"commit-push", "--dir", "work", "--record", record}
}

// othersRelease changes the file that the checkout has changed, in another entry, and other files.
func (s *site) othersRelease() {
	s.t.Helper()
	now := s.shopNow() + "\n"
	files := map[string]string{
		shopFile:                         withTag(s.t, now, "cart", "v3"),
		blogFile:                         withTag(s.t, kustomization("blog"), "blog", "v7"),
		"services/blog/base/config.yaml": "new: true\n",
	}
	maps.Copy(files, s.othersFiles)
	s.commit(files)
}

// TestAStepKilledAtAnyRequestIsFinishedByTheNext kills each step at its first request, its second and so on, once before
// the server has handled the request and once after, and runs the step again.
func TestAStepKilledAtAnyRequestIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	for name, tt := range killCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			s := newSite(t, shop())
			step := tt.prepare(s)
			requests, check := s.undisturbed(step, tt.trailer, tt.git, tt.overlay)
			runs := 0
			for _, when := range []string{"before", "after"} {
				for n := 0; ; n++ {
					s.restore()
					if !s.killedAt(n, when == "after", step) {
						if n != requests {
							t.Errorf("there is no request %d, but an undisturbed run sends %d", n, requests)
						}
						break
					}
					check(fmt.Sprintf("killed %s request %d was handled", when, n))
					runs++
				}
			}
			t.Logf("killed %d times, in %v", runs, time.Since(start).Round(time.Millisecond))
		})
	}
}

// undisturbed saves the state that a step begins with and runs the step. It returns how many requests that takes, and a
// check that two further runs end in the same state, whatever happened to an earlier one.
func (s *site) undisturbed(step []string, trailer string, git, overlay bool) (requests int, check func(what string)) {
	s.t.Helper()
	s.save()
	s.server.Reset()
	s.must(steps.Changed, step...)
	requests = len(s.server.Requests())
	want := s.outcome(trailer, git || overlay)
	same := func(what string) {
		s.t.Helper()
		if diff := cmp.Diff(want, s.outcome(trailer, git || overlay)); diff != "" {
			s.t.Errorf("%s: it did not end like an undisturbed run (-undisturbed +now):\n%s", what, diff)
		}
		switch {
		case git:
			s.cleanGit("work")
		case overlay:
			s.must(steps.Unchanged, checkoutStep(s)...)
		}
	}
	same("undisturbed")
	return requests, func(what string) {
		s.t.Helper()
		second := s.slipway(step...)
		if second.code != steps.ExitOK {
			s.t.Errorf("%s: the next run: %v", what, second)
			return
		}
		tip := s.tip()
		third := s.slipway(step...)
		if third.code != steps.ExitOK || third.Outcome != steps.Unchanged || third.Details.Revision != second.Details.Revision {
			s.t.Errorf("%s: the run after the next: %v\nthe next: %v", what, third, second)
		}
		if s.tip() != tip {
			s.t.Errorf("%s: the run after the next published", what)
		}
		same(what)
	}
}

// outcome is what has to be the same whenever a step was killed.
type outcome struct {
	Tree     string
	Commits  string
	Trailers []string
	Files    map[string]string
}

func (s *site) outcome(trailer string, laidOut bool) outcome {
	s.t.Helper()
	o := outcome{Tree: s.tree(), Commits: s.bare("rev-list", "--count", "main")}
	if trailer != "" {
		o.Trailers = s.trailers(trailer)
	}
	if laidOut {
		o.Files = s.laidOut("work")
	}
	return o
}

// save keeps the state of the repository and the checkouts for restore.
func (s *site) save() {
	s.t.Helper()
	s.copy(s.state, s.state+".saved")
}

func (s *site) restore() {
	s.t.Helper()
	if err := os.RemoveAll(s.state); err != nil {
		s.t.Fatal(err)
	}
	s.copy(s.state+".saved", s.state)
}

// copy keeps the time stamps, which the index of a checkout holds too.
func (s *site) copy(from, to string) {
	s.t.Helper()
	if out, err := exec.CommandContext(s.t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// killedAt runs a step that is killed at request n, and waits for its death. It returns false if there is no such request.
func (s *site) killedAt(n int, after bool, step []string) bool {
	s.t.Helper()
	return s.killed(step, func(kill func()) (undo func()) {
		action := gitrepotest.Action{Before: kill, DropBefore: true}
		if after {
			action = gitrepotest.Action{After: kill, DropAfter: true}
		}
		s.server.Reset()
		s.server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
			if r.Index == n {
				return action
			}
			return gitrepotest.Pass()
		})
		return func() { s.server.Fault(nil) }
	})
}

// killed runs a step with a fault that may kill it, which returns when the process is dead. It returns false if the fault never
// came to it: then the step must have ended as s.ends says.
func (s *site) killed(step []string, fault func(kill func()) (undo func())) bool {
	s.t.Helper()
	cmd := s.command(step...)
	started, dead := make(chan struct{}), make(chan struct{})
	var reached atomic.Bool
	defer fault(func() {
		<-started
		reached.Store(true)
		_ = cmd.Process.Kill()
		<-dead
	})()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	close(started)
	err := cmd.Wait()
	close(dead)
	if !reached.Load() && cmd.ProcessState.ExitCode() != s.ends {
		s.t.Fatalf("not killed: %v\n%s", err, cmd.Stderr)
	}
	return reached.Load()
}

// TestAStepKilledAmongTheFilesIsFinishedByTheNext kills steps while they bring many files of a checkout up to date.
func TestAStepKilledAmongTheFilesIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	const files = 100
	name := func(n int) string { return fmt.Sprintf("%s/many/%03d.yaml", shopDir, n) }
	for kind, tt := range killCases {
		if !tt.moves {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			s := newSite(t, shop())
			first, next := map[string]string{}, map[string]string{}
			for n := range files {
				first[name(n)], next[name(n)] = "first\n", "next\n"
			}
			s.commit(first)
			s.othersFiles = next
			step := tt.prepare(s)
			_, check := s.undisturbed(step, tt.trailer, tt.git, tt.overlay)
			// Where the killing begins: what a file of the directory work must say by then.
			points := [][2]string{{name(0), "next"}, {name(files / 3), "next"}, {name(files * 2 / 3), "next"}, {name(files - 1), "next"}}
			if tt.git {
				points = append(points, [2]string{".git/slipway-advance.json", "from"}, [2]string{".git/index.lock", ""})
			} else {
				points = append(points, [2]string{".slipway/checkout.json", `"complete": false`}, [2]string{".slipway/checkout.json", `"next"`})
			}
			killed, among := 0, 0
			for _, point := range points {
				s.restore()
				if s.killedWhen(func() bool { return s.says(point[0], point[1]) }, step) {
					killed++
				}
				if s.says(name(0), "next") != s.says(name(files-1), "next") {
					among++
				}
				check(fmt.Sprintf("killed when %s said %q", point[0], point[1]))
			}
			t.Logf("killed %d times, %d of them among the files, in %v", killed, among, time.Since(start).Round(time.Millisecond))
		})
	}
}

func (s *site) says(file, text string) bool {
	data, err := os.ReadFile(filepath.Join(s.at("work"), file))
	return err == nil && bytes.Contains(data, []byte(text))
}

// killedWhen runs a step that is killed as soon as a condition holds, and waits for its death. It returns false if the
// step was done before.
func (s *site) killedWhen(holds func() bool, step []string) bool {
	s.t.Helper()
	cmd := s.command(step...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	dead := make(chan error, 1)
	go func() { dead <- cmd.Wait() }()
	for {
		select {
		case err := <-dead:
			if err != nil {
				s.t.Fatalf("not killed: %v\n%s", err, cmd.Stderr)
			}
			return false
		default:
			if holds() {
				_ = cmd.Process.Kill()
				return (<-dead) != nil
			}
		}
	}
}

// TestAStepKilledAtAnyChangeOfAFileIsFinishedByTheNext kills each step at the first system call that renames or removes a
// file or makes a directory, at the second and so on, and before it writes to a file that cannot be replaced in one step.
func TestAStepKilledAtAnyChangeOfAFileIsFinishedByTheNext(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), strace, "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v: %s", err, out)
	}
	t.Parallel()
	for kind, tt := range killCases {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			start, s := time.Now(), newSite(t, shop())
			step := tt.prepare(s)
			_, check := s.undisturbed(step, tt.trailer, tt.git, tt.overlay)
			// killedAt runs the step below strace, which kills it at the call that the expression names.
			killedAt := func(expression string, options ...string) bool {
				s.restore()
				cmd := s.command(step...)
				options = append(options, "-f", "-qq", "-o", os.DevNull, "-e", "inject="+expression, "--", cmd.Path)
				cmd.Args = append(append([]string{strace}, options...), step...)
				cmd.Path = strace
				// The calls of each thread are counted by themselves; with one processor nearly all are made by one.
				cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
				err := cmd.Run()
				if err != nil && cmd.ProcessState.ExitCode() >= 0 {
					t.Fatalf("not killed: %v\n%s", err, cmd.Stderr)
				}
				return err != nil
			}
			kills := 0
			for _, call := range []string{"renameat", "unlinkat", "mkdirat", "fchmodat"} {
				for n := 1; killedAt(fmt.Sprintf("%s:signal=KILL:when=%d", call, n)); n++ {
					check(fmt.Sprintf("killed at %s number %d", call, n))
					kills++
				}
			}
			for _, file := range []string{"index.lock", "HEAD", "refs/heads/main", "refs/remotes/origin/main"} {
				if killedAt("write,pwrite64:signal=KILL", "-P", filepath.Join(s.at("work"), ".git", file)) {
					check("killed before writing to " + file)
					kills++
				}
			}
			t.Logf("killed %d times, in %v", kills, time.Since(start).Round(time.Millisecond))
		})
	}
}
