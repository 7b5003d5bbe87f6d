package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// applications is how many there are, and how many are waited for at once at most.
const applications = 10

// syncing is one way to bring applications to a commit and wait until they are healthy there.
type syncing struct {
	name         string
	applications int
	commands     func(c cluster, commit string, apps []string) []command
}

var syncings = []syncing{
	{"slipway argocd-sync --settle 0s", 1, cluster.slipwaySync},
	{"argocd app sync && argocd app wait", 1, cluster.argocdSync},
	{"slipway argocd-sync --settle 0s", applications, cluster.slipwaySync},
	{"argocd app sync && argocd app wait", applications, cluster.argocdSync},
}

func (c cluster) slipwaySync(commit string, apps []string) []command {
	args := []string{c.slipway, "argocd-sync", "--repo", c.server.url(syncRepo), "--revision", commit, "--settle", "0s"}
	for _, app := range apps {
		args = append(args, "--app", app)
	}
	return []command{{"", args}}
}

func (c cluster) argocdSync(commit string, apps []string) []command {
	return []command{
		{"", append([]string{c.argocd, "app", "sync", "--revision", commit}, apps...)},
		{"", append([]string{c.argocd, "app", "wait"}, apps...)},
	}
}

const syncRepo = "sync"

// cluster is a bench with an Argo CD, in a process of its own, and applications of a repository in it.
type cluster struct {
	*bench
	child    *child
	argocd   string // the command
	work     string // a clone from which commits are pushed
	releases int
}

// synced is what one way has cost.
type synced struct {
	sample
	delay       time.Duration // from when the last application was healthy
	connections int
}

// syncs compares the ways in turns.
func (b *bench) syncs(ctx context.Context, out io.Writer) (failed []string, err error) {
	c, err := b.startCluster(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.child.close()) }()
	results := make([][]synced, len(syncings))
	for round := range b.settings.runs {
		for i, way := range syncings {
			progress("%s, %d applications, run %d of %d", way.name, way.applications, round+1, b.settings.runs)
			one, err := c.sync(ctx, way)
			if err != nil {
				return nil, fmt.Errorf("%s, %d applications: %w", way.name, way.applications, err)
			}
			results[i] = append(results[i], one)
		}
	}
	writeSyncs(out, results)
	return brokenSyncPromises(results), nil
}

// brokenSyncPromises looks at slipway's rows.
func brokenSyncPromises(results [][]synced) []string {
	var failed []string
	promise := func(kept bool, format string, args ...any) {
		if !kept {
			failed = append(failed, fmt.Sprintf(format, args...))
		}
	}
	for i, way := range syncings {
		if strings.HasPrefix(way.name, slipwayRow) {
			delay, connections := mostOf(results[i])
			promise(delay <= time.Second, "sync of %d: returned %v after the server had reported healthy", way.applications, delay)
			promise(connections == 1, "sync of %d: %d connections", way.applications, connections)
		}
	}
	const more = 20e6
	one, ten := medianOf(results[0]).rss, medianOf(results[2]).rss
	promise(ten-one <= more, "sync of %d: %d bytes more than of one", applications, ten-one)
	return failed
}

func (b *bench) startCluster(ctx context.Context) (*cluster, error) {
	c := &cluster{bench: b, work: filepath.Join(b.dir, syncRepo)}
	var err error
	if c.argocd, err = b.argocdCommand(ctx); err != nil {
		return nil, err
	}
	progress("building an Argo CD to sync with")
	program := filepath.Join(b.dir, "argocd-server")
	if err := goCommand(ctx, "", "build", "-o", program, "slipway/bench/argocd"); err != nil {
		return nil, err
	}
	if err := c.createRepository(ctx); err != nil {
		return nil, err
	}
	args := []string{b.server.url(syncRepo)}
	for i := range applications {
		args = append(args, overlay{i, "prod"}.path())
	}
	cmd := exec.Command(program, args...)
	cmd.Env = b.env
	served, first, err := startChild(cmd)
	if err != nil {
		return nil, err
	}
	c.child = served
	var address, token string
	if _, err := fmt.Sscan(first, &address, &token); err != nil {
		return nil, errors.Join(err, served.close())
	}
	there := *b
	there.env = append(slices.Clone(b.env), "ARGOCD_SERVER="+address, "ARGOCD_AUTH_TOKEN="+token, "ARGOCD_OPTS=--plaintext")
	c.bench = &there
	return c, nil
}

func (c *cluster) createRepository(ctx context.Context) error {
	for i := range applications {
		if err := writeFiles(c.work, serviceFiles(i)); err != nil {
			return err
		}
	}
	return c.gitAll(ctx, c.work, [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "."},
		{"commit", "--quiet", "--message", "Import all services"},
		{"clone", "--quiet", "--bare", ".", filepath.Join(c.repos, syncRepo+".git")},
		{"remote", "add", "origin", filepath.Join(c.repos, syncRepo+".git")},
	})
}

func (b *bench) gitAll(ctx context.Context, work string, all [][]string) error {
	for _, args := range all {
		if _, err := b.run(ctx, command{work, append([]string{"git"}, args...)}); err != nil {
			return err
		}
	}
	return nil
}

// publish pushes a commit that sets the images of all applications.
func (c *cluster) publish(ctx context.Context) (string, error) {
	c.releases++
	files := map[string]string{}
	for i := range applications {
		o := overlay{i, "prod"}
		files[o.path()+"/kustomization.yaml"] = o.kustomization(tag(c.releases))
	}
	if err := writeFiles(c.work, files); err != nil {
		return "", err
	}
	push := [][]string{{"commit", "--quiet", "--all", "--message", "Release " + tag(c.releases)}, {"push", "--quiet", "origin", "main"}}
	if err := c.gitAll(ctx, c.work, push); err != nil {
		return "", err
	}
	return c.inRepo(syncRepo, "rev-parse", "main")
}

// sync publishes a commit, brings applications to it and checks that they were there when the command ended.
func (c *cluster) sync(ctx context.Context, way syncing) (synced, error) {
	commit, err := c.publish(ctx)
	if err != nil {
		return synced{}, err
	}
	if _, err := c.child.ask(fmt.Sprintf("%s %d", commit, way.applications)); err != nil {
		return synced{}, err
	}
	var apps []string
	for i := range way.applications {
		apps = append(apps, fmt.Sprintf("app-%d", i))
	}
	used, err := c.runAll(ctx, way.commands(*c, commit, apps))
	if err != nil {
		return synced{}, err
	}
	returned := time.Now()
	answer, err := c.child.ask("")
	if err != nil {
		return synced{}, err
	}
	var healthy int64
	s := synced{sample: sample{usage: used}}
	if _, err := fmt.Sscan(answer, &healthy, &s.connections); err != nil {
		return synced{}, fmt.Errorf("%q: %w", answer, err)
	}
	if s.delay = returned.Sub(time.Unix(0, healthy)); s.delay < 0 {
		return synced{}, fmt.Errorf("returned %v before the applications were healthy", -s.delay)
	}
	return s, nil
}

func writeSyncs(out io.Writer, results [][]synced) {
	t := newTable(out, "Sync and wait", "way", "applications", "s after healthy, median", "most", "wall s", "CPU s", "peak RSS MB", "connections")
	for i, way := range syncings {
		m := medianOf(results[i])
		delay, connections := mostOf(results[i])
		t.row(way.name, fmt.Sprint(way.applications), fmt.Sprintf("%.3f", m.delay.Seconds()), fmt.Sprintf("%.3f", delay.Seconds()),
			seconds(m.wall), fmt.Sprintf("%.3f", m.cpu.Seconds()), fmt.Sprintf("%.0f", float64(m.rss)/1e6), fmt.Sprint(connections))
	}
}

func medianOf(all []synced) synced {
	var samples, delays []sample
	for _, s := range all {
		samples = append(samples, s.sample)
		delays = append(delays, sample{usage: usage{wall: s.delay}})
	}
	return synced{sample: medians(samples), delay: medians(delays).wall}
}

// mostOf returns the longest delay and the most connections.
func mostOf(all []synced) (delay time.Duration, connections int) {
	for _, s := range all {
		delay, connections = max(delay, s.delay), max(connections, s.connections)
	}
	return delay, connections
}
