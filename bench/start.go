package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// start is a call of a program that does next to nothing.
type start struct {
	name string
	args []string
}

const argocdStart = "argocd version --client"

// starts compares what it costs to be started, in turns, and then looks where slipway's start goes.
func (b *bench) starts(ctx context.Context, out io.Writer) ([]string, error) {
	argocd, err := b.argocdCommand(ctx)
	if err != nil {
		return nil, err
	}
	own, err := b.ownStarts(ctx)
	if err != nil {
		return nil, err
	}
	all := append(own,
		start{argocdStart, []string{argocd, "version", "--client"}},
		start{"kustomize version", []string{b.kustomize, "version"}},
	)
	progress("start of %d commands, %d rounds", len(all), b.settings.rounds)
	samples := map[string][]sample{}
	for range b.settings.rounds {
		for _, s := range all {
			used, err := b.runAll(ctx, []command{{"", s.args}})
			if err != nil {
				return nil, err
			}
			samples[s.name] = append(samples[s.name], sample{usage: used})
		}
	}
	writeStarts(out, all, samples)
	initialisations, err := b.initialisations(ctx)
	if err != nil {
		return nil, err
	}
	writeInitialisations(out, initialisations)
	return brokenStartPromises(own, samples), nil
}

// brokenStartPromises goes by the least that each command has needed: a busy machine only adds to it.
func brokenStartPromises(own []start, samples map[string][]sample) []string {
	var failed []string
	whole := minima(samples[argocdStart]).cpu
	for _, s := range own {
		if cpu := minima(samples[s.name]).cpu; cpu > whole/2 {
			failed = append(failed, fmt.Sprintf("%s: %v of CPU, more than half of the %v of %s", s.name, cpu, whole, argocdStart))
		}
	}
	return failed
}

// ownStarts are the starts of all of slipway's commands, which its help names.
func (b *bench) ownStarts(ctx context.Context) ([]start, error) {
	cmd := exec.CommandContext(ctx, b.slipway, "--help")
	cmd.Env = b.env
	help, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("slipway --help: %w\n%s", err, help)
	}
	_, list, found := strings.Cut(string(help), "\nCOMMANDS:\n")
	if !found {
		return nil, errors.New("slipway --help names no commands")
	}
	list, _, _ = strings.Cut(list, "\n\n")
	starts := []start{{slipwayRow + " version", []string{b.slipway, "version"}}}
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "version" {
			starts = append(starts, start{slipwayRow + " " + name + " --help", []string{b.slipway, name, "--help"}})
		}
	}
	return starts, nil
}

// initialisation is what a package does before main.
type initialisation struct {
	pkg   string
	took  time.Duration
	bytes int64
}

var initTrace = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock, (\d+) bytes`)

// initialisations are those of all packages of slipway, the longest first, by the medians.
func (b *bench) initialisations(ctx context.Context) ([]initialisation, error) {
	times := map[string][]sample{}
	bytes := map[string]int64{}
	for range b.settings.rounds {
		cmd := exec.CommandContext(ctx, b.slipway, "version")
		cmd.Env = append(slices.Clone(b.env), "GODEBUG=inittrace=1")
		trace, err := cmd.CombinedOutput()
		if err != nil {
			return nil, err
		}
		for _, match := range initTrace.FindAllStringSubmatch(string(trace), -1) {
			ms, _ := strconv.ParseFloat(match[2], 64)
			bytes[match[1]], _ = strconv.ParseInt(match[3], 10, 64)
			times[match[1]] = append(times[match[1]], sample{usage: usage{wall: time.Duration(ms * float64(time.Millisecond))}})
		}
	}
	var all []initialisation
	for pkg := range maps.Keys(times) {
		all = append(all, initialisation{pkg, medians(times[pkg]).wall, bytes[pkg]})
	}
	slices.SortFunc(all, func(x, y initialisation) int { return cmp.Compare(y.took, x.took) })
	return all, nil
}

func writeStarts(out io.Writer, all []start, samples map[string][]sample) {
	t := newTable(out, "Start", "command", "CPU ms, median", "least", "wall ms, median", "least", "peak RSS MB", "of argocd's CPU")
	whole := medians(samples[argocdStart]).cpu
	for _, s := range all {
		m, least := medians(samples[s.name]), minima(samples[s.name])
		t.row(s.name, milliseconds(m.cpu), milliseconds(least.cpu), milliseconds(m.wall), milliseconds(least.wall),
			fmt.Sprintf("%.0f", float64(m.rss)/1e6), fmt.Sprintf("%.2f", m.cpu.Seconds()/whole.Seconds()))
	}
}

// shownInitialisations is how many of the longest are worth a line.
const shownInitialisations = 8

func writeInitialisations(out io.Writer, all []initialisation) {
	t := newTable(out, "Where the start goes", "package", "ms", "KB allocated")
	var took time.Duration
	var bytes int64
	for i, one := range all {
		if i < shownInitialisations {
			t.row(one.pkg, fmt.Sprintf("%.2f", one.took.Seconds()*1e3), kilobytes(one.bytes))
		}
		took += one.took
		bytes += one.bytes
	}
	t.row(fmt.Sprintf("all %d", len(all)), fmt.Sprintf("%.2f", took.Seconds()*1e3), kilobytes(bytes))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1e3) }

// minima takes the least of each measure of usage by itself.
func minima(samples []sample) usage {
	least := samples[0].usage
	for _, s := range samples[1:] {
		least = usage{min(least.cpu, s.cpu), min(least.wall, s.wall), min(least.rss, s.rss)}
	}
	return least
}
