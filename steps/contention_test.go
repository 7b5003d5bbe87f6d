package steps_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/steps"
)

// TestFiftyWritersAllLand lets fifty processes release at the same moment, each another service: each becomes one commit
// of one line, whatever the others and the server do.
func TestFiftyWritersAllLand(t *testing.T) {
	const writers, sharing = 50, 15
	for name, fault := range map[string]func(gitrepotest.Request) gitrepotest.Action{
		"on a healthy server":                         nil,
		"on a server that fails, hangs up and delays": gitrepotest.RandomFaults(1, 0.15),
	} {
		t.Run(name, func(t *testing.T) {
			files, want, own := services(t, writers, sharing)
			s := newSite(t, files)
			base := s.tip()
			writer := make([]func() ended, writers)
			for n := range writer {
				dir := fmt.Sprintf("writer-%d", n)
				// A third of them works in clones, as a Jenkins step for git makes them.
				if n%3 == 0 {
					s.git("clone", "--quiet", "--depth=1", s.url(), dir)
				} else {
					s.must(steps.Changed, "checkout", "--repo", s.url(), "--path", own[n], "--dir", dir)
				}
				s.set(dir+"/"+own[n]+"/kustomization.yaml", service(n), "v2")
				cmd := s.command("commit-push", "--job", "deploy/"+service(n), "--order", "2")
				cmd.Dir = s.at(dir)
				writer[n] = func() ended { return finish(t, cmd) }
			}
			s.server.Reset()
			s.server.Fault(fault)
			start := time.Now()
			results := race(writer...)
			took := time.Since(start)
			s.server.Fault(nil)

			attempts, most := 0, 0
			landed := map[string]string{}
			for n, r := range results {
				if r.code != steps.ExitOK || r.Outcome != steps.Changed {
					t.Errorf("writer %d: %v", n, r)
				}
				landed[r.Details.Revision] = r.Details.Release
				attempts, most = attempts+r.Details.Attempts, max(most, r.Details.Attempts)
			}
			t.Logf("%d writers: %v, %d attempts, at most %d by one, %d requests",
				writers, took.Round(time.Millisecond), attempts, most, len(s.server.Requests()))
			if diff := cmp.Diff(landed, s.releasesSince(base)); diff != "" {
				t.Errorf("releases by commit (-reported +on the branch):\n%s", diff)
			}
			if len(landed) != writers {
				t.Errorf("%d commits, want %d", len(landed), writers)
			}
			s.eachChangesOneLine(base)
			if diff := cmp.Diff(want, s.files("main")); diff != "" {
				t.Errorf("files of the branch (-computed +found):\n%s", diff)
			}
		})
	}
}

func service(n int) string { return fmt.Sprintf("svc-%02d", n) }

// services returns a repository in which the first services share a kustomization, what it becomes when all are
// released, and the directory of each service.
func services(t *testing.T, count, sharing int) (files, want map[string]string, own []string) {
	t.Helper()
	const shared = "apps/shared/overlays/prod"
	files = map[string]string{"README.md": "# Releases\n"}
	var together []string
	for n := range count {
		dir := "apps/" + service(n) + "/overlays/prod"
		if n < sharing {
			dir = shared
			together = append(together, service(n))
		} else {
			files[dir+"/kustomization.yaml"] = kustomization(service(n))
		}
		own = append(own, dir)
		files[strings.Replace(dir, "overlays/prod", "base", 1)+"/kustomization.yaml"] = "resources: []\n"
	}
	files[shared+"/kustomization.yaml"] = kustomization(together...)
	want = maps.Clone(files)
	for n, dir := range own {
		file := dir + "/kustomization.yaml"
		want[file] = withTag(t, want[file], service(n), "v2")
	}
	return files, want, own
}

// race runs functions at the same time and returns their results in the same order.
func race(run ...func() ended) []ended {
	results := make([]ended, len(run))
	begin := make(chan struct{})
	var group sync.WaitGroup
	for n := range run {
		group.Go(func() {
			<-begin
			results[n] = run[n]()
		})
	}
	close(begin)
	group.Wait()
	return results
}

// releasesSince maps the commits since a base to their releases.
func (s *site) releasesSince(base string) map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for _, line := range strings.Split(s.bare("log", "--format=%H %(trailers:key=Slipway-Release,valueonly,separator=%x2C)", base+"..main"), "\n") {
		commit, release, _ := strings.Cut(line, " ")
		found[commit] = release
	}
	return found
}

// eachChangesOneLine checks that each commit since a base removes and adds one line, and nothing else.
func (s *site) eachChangesOneLine(base string) {
	s.t.Helper()
	commits := strings.Split(s.bare("log", "--format=commit %h", "--numstat", base+"..main"), "commit ")
	for _, commit := range commits[1:] {
		fields := strings.Fields(commit)
		if len(fields) != 4 || fields[1] != "1" || fields[2] != "1" {
			s.t.Errorf("not one line: commit %s", commit)
		}
	}
}

// files returns all files of a commit.
func (s *site) files(commit string) map[string]string {
	s.t.Helper()
	files := map[string]string{}
	for _, name := range strings.Fields(s.bare("ls-tree", "-r", "--name-only", commit)) {
		out, err := s.server.Git("gitops", "show", commit+":"+name)
		if err != nil {
			s.t.Fatal(err)
		}
		files[name] = out
	}
	return files
}
