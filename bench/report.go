package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

func writeBumps(out io.Writer, size scale, results map[string]sample) {
	title := fmt.Sprintf("One image bump, %s: %d services, %d files, %d commits", size.name, size.services, size.services*8+2, size.commits)
	t := newTable(out, title, "way", "CPU s", "wall s", "peak RSS MB", "down KB", "up KB", "requests")
	for _, row := range rows {
		if s, ok := results[row.name]; ok {
			t.row(row.name, seconds(s.cpu), seconds(s.wall), fmt.Sprintf("%.0f", float64(s.rss)/1e6),
				kilobytes(s.Down), kilobytes(s.Up), fmt.Sprint(s.Requests))
		}
	}
	own, measured := results[slipwayRow]
	if _, other := results[rows[0].name]; !measured || !other {
		return
	}
	t = newTable(out, "", "slipway needs, of", "CPU", "wall", "peak RSS", "bytes", "requests")
	for _, row := range rows {
		if s, ok := results[row.name]; ok && !strings.HasPrefix(row.name, slipwayRow) {
			t.row(row.name, ratio(own.cpu, s.cpu), ratio(own.wall, s.wall), ratio(own.rss, s.rss),
				ratio(own.Down+own.Up, s.Down+s.Up), ratio(own.Requests, s.Requests))
		}
	}
}

func writeContests(out io.Writer, size scale, title string, writers int, results []result) {
	t := newTable(out, fmt.Sprintf("%s, %s", title, size.name),
		"way", "landed", "reported", "killed", "lost", "total s", "slowest s", "attempts", "pushes sent", "requests", "down MB")
	for _, r := range results {
		t.row(r.name, fmt.Sprintf("%d/%d", r.landed, writers), fmt.Sprint(r.done), fmt.Sprint(r.killed), fmt.Sprint(r.lost),
			seconds(r.total), seconds(r.slowest), fmt.Sprintf("%d (%.1f each)", r.Adverts, float64(r.Adverts)/float64(writers)),
			fmt.Sprint(r.Pushes), fmt.Sprint(r.Requests), fmt.Sprintf("%.1f", float64(r.Down)/1e6))
	}
}

func writeChecks(out io.Writer, t target, samples map[string][]sample) {
	w := newTable(out, fmt.Sprintf("An overlay of %d objects", t.objects), "way", "CPU s", "wall s", "peak RSS MB", "slipway's CPU")
	own := medians(samples[validateRow])
	for _, c := range checks {
		m := medians(samples[c.name])
		part := "-"
		if c.name != validateRow && c.name != startRow {
			part = ratio(own.cpu, m.cpu)
		}
		w.row(c.name, fmt.Sprintf("%.3f", m.cpu.Seconds()), fmt.Sprintf("%.3f", m.wall.Seconds()), fmt.Sprintf("%.0f", float64(m.rss)/1e6), part)
	}
}

func writeValidateAll(out io.Writer, size scale, used map[string]usage) {
	t := newTable(out, fmt.Sprintf("validate --all, %s: %d overlays", size.name, size.services*len(environments)),
		"of", "CPU s", "wall s", "CPU per wall", "peak RSS MB")
	for _, form := range allForms {
		u := used[form]
		t.row(form, seconds(u.cpu), seconds(u.wall), fmt.Sprintf("%.2f", u.cpu.Seconds()/u.wall.Seconds()), fmt.Sprintf("%.0f", float64(u.rss)/1e6))
	}
}

// table is a markdown table, written row by row.
type table struct{ out io.Writer }

func newTable(out io.Writer, title string, columns ...string) table {
	if title != "" {
		_, _ = fmt.Fprintf(out, "\n### %s\n", title)
	}
	_, _ = fmt.Fprintln(out)
	t := table{out}
	t.row(columns...)
	_, _ = fmt.Fprintln(out, "|---|"+strings.Repeat("---:|", len(columns)-1))
	return t
}

func (t table) row(cells ...string) {
	_, _ = fmt.Fprintln(t.out, "| "+strings.Join(cells, " | ")+" |")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

func kilobytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e3) }

// ratio writes a as a part of b: "1/20" if it is smaller, "1.3" if it is not.
func ratio[T ~int | ~int64](a, b T) string {
	switch {
	case a == 0 || b == 0:
		return "-"
	case a < b:
		return fmt.Sprintf("1/%.1f", float64(b)/float64(a))
	default:
		return fmt.Sprintf("%.1f", float64(a)/float64(b))
	}
}
