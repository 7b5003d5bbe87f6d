package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// release is one image bump that somebody wants: the production overlay of a service and its new tag.
type release struct {
	overlay
	tag string
	url string
	dir string // for the checkout, does not exist yet
	n   int
}

func (r release) message() string { return fmt.Sprintf("Release %s %s to prod", r.name(), r.tag) }
func (r release) file() string    { return r.path() + "/kustomization.yaml" }

// row is one way to do a release, all of it: read, edit, commit, push.
type row struct {
	name     string
	once     bool
	commands func(*bench, release) []command
}

const slipwayRow = "slipway"

var rows = []row{
	{name: "git clone, kustomize", once: true, commands: gitCommands()},
	{name: "git clone --depth 1, kustomize", commands: gitCommands("--depth=1")},
	{name: "git clone --depth 1 --filter=blob:none --sparse, kustomize", commands: gitCommands("--depth=1", "--filter=blob:none", "--sparse")},
	{name: slipwayRow, commands: slipwayCommands},
	{name: slipwayRow + " --order", commands: slipwayWith(func(r release) []string {
		return []string{"--job", r.job(), "--order", fmt.Sprint(100_000 + r.n)}
	})},
	{name: slipwayRow + " --history 0", commands: slipwayWith(func(release) []string {
		return []string{"--history", "0"} // no look back for reverts and newer builds
	})},
	{name: slipwayRow + " release", commands: func(b *bench, r release) []command {
		return []command{{"", []string{
			b.slipway, "release", "--repo", r.url, "--path", r.path(), "--image", r.image() + ":" + r.tag, "--message", r.message(),
			"--record", r.dir + ".json",
		}}}
	}},
}

func gitCommands(options ...string) func(*bench, release) []command {
	return func(b *bench, r release) []command {
		clone := append(append([]string{"git", "clone", "--quiet"}, options...), r.url, r.dir)
		commands := []command{{"", clone}}
		if slices.Contains(options, "--sparse") {
			commands = append(commands, command{r.dir, []string{"git", "sparse-checkout", "set", r.root()}})
		}
		return append(commands,
			command{filepath.Join(r.dir, r.path()), []string{b.kustomize, "edit", "set", "image", r.image() + "=" + r.image() + ":" + r.tag}},
			command{r.dir, []string{"git", "commit", "--quiet", "--all", "--message", r.message()}},
			command{r.dir, []string{"git", "push", "--quiet", "origin", "HEAD:main"}},
		)
	}
}

func slipwayCommands(b *bench, r release) []command {
	return []command{
		{"", []string{b.slipway, "checkout", "--repo", r.url, "--path", r.path(), "--dir", r.dir}},
		{"", []string{b.slipway, "set-image", "--dir", r.dir, "--path", r.path(), "--image", r.image() + ":" + r.tag}},
		{"", []string{b.slipway, "commit-push", "--dir", r.dir, "--path", r.path(), "--message", r.message()}},
	}
}

// slipwayWith adds flags to commit-push.
func slipwayWith(flags func(release) []string) func(*bench, release) []command {
	return func(b *bench, r release) []command {
		commands := slipwayCommands(b, r)
		last := &commands[len(commands)-1]
		last.args = append(last.args, flags(r)...)
		return commands
	}
}

// sample is what one release has cost.
type sample struct {
	usage
	traffic
}

// bumps compares one release at a time.
func (b *bench) bumps(ctx context.Context, out io.Writer, size scale) ([]string, error) {
	results := map[string]sample{}
	var failed []string
	for _, row := range rows {
		if !strings.Contains(row.name, b.settings.rows) {
			continue
		}
		median, err := b.median(ctx, size, row)
		switch {
		case err == nil:
			results[row.name] = median
		case ctx.Err() != nil:
			return nil, ctx.Err()
		default:
			progress("%s: %v", row.name, err)
			failed = append(failed, fmt.Sprintf("%s on %s: no result", row.name, size.name))
		}
	}
	writeBumps(out, size, results)
	return failed, nil
}

func (b *bench) median(ctx context.Context, size scale, row row) (sample, error) {
	repo, err := b.fresh(size)
	if err != nil {
		return sample{}, err
	}
	runs := b.settings.runs
	if row.once {
		runs = 1
	}
	samples := make([]sample, runs)
	for i := range samples {
		progress("%s, run %d of %d", row.name, i+1, runs)
		if samples[i], err = b.bump(ctx, repo, row, b.release(size, repo, i, i)); err != nil {
			return sample{}, err
		}
	}
	return medians(samples), nil
}

func (b *bench) release(size scale, repo string, i, n int) release {
	service := (i*size.services/7 + i + 3) % size.services
	return release{
		overlay: overlay{service, "prod"}, tag: fmt.Sprintf("2.%d.0", n), url: b.server.url(repo), n: n,
		dir: filepath.Join(b.dir, "work", fmt.Sprintf("%s-%d", repo, n)),
	}
}

// bump does and measures one release, and checks that it has become exactly one commit that changes one line.
func (b *bench) bump(ctx context.Context, repo string, row row, r release) (sample, error) {
	if err := os.MkdirAll(filepath.Dir(r.dir), 0o755); err != nil {
		return sample{}, err
	}
	defer func() { _ = os.RemoveAll(r.dir) }()
	before, err := b.inRepo(repo, "rev-parse", "main")
	if err != nil {
		return sample{}, err
	}
	if _, err := b.server.traffic(); err != nil {
		return sample{}, err
	}
	used, err := b.runAll(ctx, row.commands(b, r))
	if err != nil {
		return sample{}, err
	}
	sent, err := b.server.traffic()
	if err != nil {
		return sample{}, err
	}
	changed, err := b.inRepo(repo, "diff-tree", "-r", "--name-only", before+"..main")
	if err != nil {
		return sample{}, err
	}
	count, err := b.inRepo(repo, "rev-list", "--count", before+"..main")
	if err != nil {
		return sample{}, err
	}
	content, err := b.inRepo(repo, "show", "main:"+r.file())
	if err != nil {
		return sample{}, err
	}
	if changed != r.file() || count != "1" || !strings.Contains(content, "newTag: "+r.tag) {
		return sample{}, fmt.Errorf("%s: %s commits, changed %q, content:\n%s", row.name, count, changed, content)
	}
	return sample{used, sent}, nil
}

// medians takes the median of each measure by itself.
func medians(samples []sample) sample {
	return sample{
		usage{
			cpu:  median(samples, func(s sample) time.Duration { return s.cpu }),
			wall: median(samples, func(s sample) time.Duration { return s.wall }),
			rss:  median(samples, func(s sample) int64 { return s.rss }),
		},
		traffic{
			Requests: median(samples, func(s sample) int { return s.Requests }),
			Down:     median(samples, func(s sample) int64 { return s.Down }),
			Up:       median(samples, func(s sample) int64 { return s.Up }),
		},
	}
}

func median[T ~int | ~int64](samples []sample, measure func(sample) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = measure(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
