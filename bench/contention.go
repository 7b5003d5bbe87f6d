package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// contest is one way in which many writers release at the same time, each its own service.
type contest struct {
	name string
	// clones are needed by writers that start from one; making them is not measured.
	clones bool
	// commands of one writer.
	commands func(*bench, release) []command
	// branch is the branch that a writer pushes to.
	branch func(release) string
	// promised contests must bring all writers through.
	promised bool
}

func toMain(release) string { return "main" }

const pullLoop = `while :; do git pull --quiet --rebase origin main && git push --quiet origin HEAD:main && exit 0; done`

var (
	slipwayContest = contest{name: slipwayRow + " (checkout, set-image, commit-push)", commands: slipwayCommands, branch: toMain, promised: true}
	pullContest    = contest{
		name: "git pull --rebase && git push, in a loop", clones: true, branch: toMain,
		commands: func(_ *bench, r release) []command { return []command{{r.dir, []string{"sh", "-c", pullLoop}}} },
	}
	floorContest = contest{
		name: "floor: one git push each, to refs of their own", clones: true,
		branch: func(r release) string { return fmt.Sprintf("floor-%d", r.n) },
		commands: func(_ *bench, r release) []command {
			return []command{{r.dir, []string{"git", "push", "--quiet", "origin", fmt.Sprintf("HEAD:refs/heads/floor-%d", r.n)}}}
		},
	}
)

// result is what became of a contest.
type result struct {
	name string
	traffic
	total   time.Duration
	slowest time.Duration // of those that finished
	done    int           // reported success
	killed  int
	failed  int
	landed  int // values found on the server, reported or not
	lost    int // reported but not found
	commits int // beyond the first state, on main
	sample  error
}

// burst lets all writers begin at once.
func (b *bench) burst(ctx context.Context, out io.Writer, size scale) ([]string, error) {
	title := fmt.Sprintf("%d writers at once", b.settings.writers)
	return b.contests(ctx, out, size, title, 0, slipwayContest, pullContest, floorContest)
}

// spread lets the writers begin one after another over a minute.
func (b *bench) spread(ctx context.Context, out io.Writer, size scale) ([]string, error) {
	title := fmt.Sprintf("%d writers spread over %v", b.settings.writers, b.settings.spread)
	return b.contests(ctx, out, size, title, b.settings.spread, slipwayContest, pullContest)
}

func (b *bench) contests(ctx context.Context, out io.Writer, size scale, title string, over time.Duration, contests ...contest) ([]string, error) {
	var results []result
	var failed []string
	for _, c := range contests {
		if !strings.Contains(c.name, b.settings.rows) {
			continue
		}
		progress("%s: %s", title, c.name)
		r, err := b.contest(ctx, size, c, over)
		if err != nil {
			return nil, err
		}
		if r.sample != nil {
			progress("one of %d failures: %v", r.failed, r.sample)
		}
		if c.promised && (r.landed != b.settings.writers || r.lost > 0 || r.commits != r.landed || r.done != r.landed) {
			failed = append(failed, fmt.Sprintf("%s, %s: %s: %d of %d reported, %d landed in %d commits, %d lost",
				size.name, title, c.name, r.done, b.settings.writers, r.landed, r.commits, r.lost))
		}
		results = append(results, r)
	}
	writeContests(out, size, title, b.settings.writers, results)
	return failed, nil
}

func (b *bench) contest(ctx context.Context, size scale, c contest, over time.Duration) (result, error) {
	r := result{name: c.name}
	repo, err := b.fresh(size)
	if err != nil {
		return r, err
	}
	releases := make([]release, b.settings.writers)
	for i := range releases {
		releases[i] = b.release(size, repo, i, i)
		releases[i].service = (i*size.services/len(releases) + 1) % size.services
	}
	work := filepath.Dir(releases[0].dir)
	if err := os.MkdirAll(work, 0o755); err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if c.clones {
		if err := b.prepareClones(ctx, releases); err != nil {
			return r, err
		}
	}
	before, err := b.inRepo(repo, "rev-parse", "main")
	if err != nil {
		return r, err
	}
	if _, err := b.server.traffic(); err != nil {
		return r, err
	}
	done := b.race(ctx, c, releases, over, &r)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if r.traffic, err = b.server.traffic(); err != nil {
		return r, err
	}
	return r, b.count(repo, before, c, releases, done, &r)
}

// race runs all writers, kills them at the limit and returns who reported success.
func (b *bench) race(ctx context.Context, c contest, releases []release, over time.Duration, r *result) []bool {
	limited, cancel := context.WithTimeout(ctx, b.settings.limit)
	defer cancel()
	done := make([]bool, len(releases))
	var mu sync.Mutex
	var group sync.WaitGroup
	start := time.Now()
	for i, release := range releases {
		group.Go(func() {
			select {
			case <-time.After(over * time.Duration(i) / time.Duration(len(releases))):
			case <-limited.Done():
			}
			used, err := b.runAll(limited, c.commands(b, release))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				done[i] = true
				r.done++
				r.slowest = max(r.slowest, used.wall)
			case limited.Err() != nil:
				r.killed++
			default:
				r.failed++
				r.sample = err
			}
		})
	}
	group.Wait()
	r.total = time.Since(start)
	return done
}

// count looks on the server for every value.
func (b *bench) count(repo, before string, c contest, releases []release, done []bool, r *result) error {
	for i, release := range releases {
		landed, err := b.landed(repo, c.branch(release), release)
		if err != nil {
			return err
		}
		if landed {
			r.landed++
		} else if done[i] {
			r.lost++
		}
	}
	count, err := b.inRepo(repo, "rev-list", "--count", before+"..main")
	if err != nil {
		return err
	}
	_, err = fmt.Sscan(count, &r.commits)
	return err
}

func (b *bench) landed(repo, branch string, r release) (bool, error) {
	heads, err := b.inRepo(repo, "for-each-ref", "--format=%(refname:short)", "refs/heads")
	if err != nil || !slices.Contains(strings.Fields(heads), branch) {
		return false, err
	}
	content, err := b.inRepo(repo, "show", branch+":"+r.file())
	return strings.Contains(content, "newTag: "+r.tag), err
}

// prepareClones gives every writer a shallow, sparse clone with its commit made. They are copies of one clone, which
// costs the server nothing.
func (b *bench) prepareClones(ctx context.Context, releases []release) error {
	first := releases[0]
	template := filepath.Join(filepath.Dir(first.dir), "template")
	set := []string{"git", "sparse-checkout", "set"}
	for _, r := range releases {
		set = append(set, r.root())
	}
	if _, err := b.runAll(ctx, []command{
		{"", []string{"git", "clone", "--quiet", "--depth=1", "--filter=blob:none", "--sparse", first.url, template}},
		{template, set},
	}); err != nil {
		return err
	}
	for _, r := range releases {
		if _, err := b.runAll(ctx, []command{
			{"", []string{"cp", "-r", template, r.dir}},
			{filepath.Join(r.dir, r.path()), []string{b.kustomize, "edit", "set", "image", r.image() + "=" + r.image() + ":" + r.tag}},
			{r.dir, []string{"git", "commit", "--quiet", "--all", "--message", r.message()}},
		}); err != nil {
			return err
		}
	}
	return nil
}
