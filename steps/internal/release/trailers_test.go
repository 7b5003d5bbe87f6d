package release_test

import (
	"bytes"
	"math/rand"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/release"
)

var full = release.Trailers{
	Release: "shop/42", Job: "shop/main", Order: 42, Build: "https://ci.example.com/job/shop/42/",
	Source: "8f3c1d2", Reverts: "0123456789012345678901234567890123456789", Approval: "rejected by alice: errors rise",
	Paths: []release.PathImages{
		{Path: "apps/web/prod", Images: []release.Image{
			{Name: "web", New: "registry.example.com/web:1.2.4", Old: "registry.example.com/web:1.2.3"},
			{Name: "created", New: "created@sha256:00"},
			{Name: "removed", Old: "removed:1"},
		}},
		{Path: ".", Images: []release.Image{{Name: "proxy", New: "proxy:2", Old: "proxy:1"}}},
		{Path: "config"},
	},
}

func TestAppend(t *testing.T) {
	small := release.Trailers{Release: "r1", Paths: []release.PathImages{
		{Path: "p", Images: []release.Image{{Name: "web", New: "web:2", Old: "web:1"}}},
	}}
	const block = "Slipway-Release: r1\nSlipway-Path: p\nSlipway-Image: web=web:2 (was web:1)\n"
	tests := map[string]struct {
		message  string
		trailers release.Trailers
		want     string
	}{
		"a subject gets a paragraph of trailers": {"subject", small, "subject\n\n" + block},
		"trailing space of the message goes":     {"subject\n\nbody \n\n\n", small, "subject\n\nbody\n\n" + block},
		"trailers that are there are joined": {
			"subject\n\nSigned-off-by: a <a@b>\n", small, "subject\n\nSigned-off-by: a <a@b>\n" + block,
		},
		"a continued trailer stays whole":             {"subject\n\nNote: a\n  b\n", small, "subject\n\nNote: a\n  b\n" + block},
		"a subject that looks like a trailer is none": {"fix: subject", small, "fix: subject\n\n" + block},
		"text that holds a colon is no trailer":       {"subject\n\nNote: a\nand text", small, "subject\n\nNote: a\nand text\n\n" + block},
		"own trailers in the message are replaced": {
			"subject\n\nslipway-release : evil\n and more\nKey: kept", small, "subject\n\nKey: kept\n" + block,
		},
		"appending twice is appending once": {"subject\n\n" + block, small, "subject\n\n" + block},
		"no trailers leave the message":     {"subject\n", release.Trailers{}, "subject\n"},
		"the root is a dot":                 {"s", release.Trailers{Paths: []release.PathImages{{}}}, "s\n\nSlipway-Path: .\n"},
		"a value of several lines is one line": {
			"s", release.Trailers{Job: "a\r\nSlipway-Order: 9\x1b\u2028b\n"}, "s\n\nSlipway-Job: a  Slipway-Order: 9  b\n",
		},
		"a value of nothing but control characters is no": {"s", release.Trailers{Job: "\n\t\x00"}, "s\n"},
		"all of it has one order": {"s", full, `s

Slipway-Release: shop/42
Slipway-Reverts: 0123456789012345678901234567890123456789
Slipway-Path: apps/web/prod
Slipway-Image: web=registry.example.com/web:1.2.4 (was registry.example.com/web:1.2.3)
Slipway-Image: created=created@sha256:00 (was none)
Slipway-Image: removed=none (was removed:1)
Slipway-Path: .
Slipway-Image: proxy=proxy:2 (was proxy:1)
Slipway-Path: config
Slipway-Job: shop/main
Slipway-Order: 42
Slipway-Build: https://ci.example.com/job/shop/42/
Source-Commit: 8f3c1d2
Slipway-Approval: rejected by alice: errors rise
`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.trailers.Append(tt.message)); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTrailers(t *testing.T) {
	r1 := release.Trailers{Release: "r1"}
	tests := map[string]struct {
		message string
		want    release.Trailers
	}{
		"everything that was appended is read":        {full.Append("subject\n\nbody"), full},
		"keys are compared without case":              {"s\n\nSLIPWAY-release: r1", r1},
		"line ends may be CRLF":                       {"s\r\n\r\nbody\r\n\r\nSlipway-Release: r1\r\n", r1},
		"other trailers and comments are passed over": {"s\n\nKey: v\n# comment\nSlipway-Release: r1\nX: y", r1},
		"a cherry-picked commit keeps its trailers":   {"s\n\nSlipway-Release: r1\n(cherry picked from commit 12)", r1},
		"a value may be continued on the next line":   {"s\n\nSlipway-Release:\n  r1", r1},
		"of a value given twice the last counts":      {"s\n\nSlipway-Release: r0\nSlipway-Release: r1", r1},
		"the subject holds no trailers":               {"Slipway-Release: r1", release.Trailers{}},
		"only the last paragraph counts":              {"s\n\nSlipway-Release: r1\n\nMore text.", release.Trailers{}},
		"text among trailers is text":                 {"s\n\nSlipway-Release: r1\nmore text", release.Trailers{}},
		"a quoted trailer is none":                    {"s\n\n> Slipway-Release: r1\n", release.Trailers{}},
		"an indented trailer is none":                 {"s\n\n    Slipway-Release: r1\n", release.Trailers{}},
		"a number that is none is no order":           {"s\n\nSlipway-Release: r1\nSlipway-Order: many", r1},
		"an image without a path is left out":         {"s\n\nSlipway-Image: a=b (was c)\nSlipway-Release: r1", r1},
		"an image that cannot be read is left out": {
			"s\n\nSlipway-Path: p\nSlipway-Image: a=b", release.Trailers{Paths: []release.PathImages{{Path: "p"}}},
		},
		"a revert is not confused with what it quotes": {
			release.Trailers{Release: "r2", Reverts: "h1"}.Append("Revert \"s\"\n\nThe release was:\n\n" +
				strings.TrimPrefix(full.Append("s"), "s\n\n") + "\nIt failed."),
			release.Trailers{Release: "r2", Reverts: "h1"},
		},
		"nothing is nothing": {"", release.Trailers{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, release.ParseTrailers(tt.message)); diff != "" {
				t.Errorf("trailers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTrailersAgreeWithGit(t *testing.T) {
	parts := []string{
		"subject", "some text", "Key: value", "Signed-off-by: a <a@b>", "(cherry picked from commit 12)", "", "", "  continued",
		"> Slipway-Release: quoted", "Slipway-Release: r1", "Slipway-Path: p", "Slipway-Image: web=web:2 (was web:1)", "Slipway-Order : 7",
		"two words: text", ": nothing",
	}
	random := rand.New(rand.NewSource(1))
	for range 150 {
		lines := []string{"subject", ""}
		for range random.Intn(10) {
			lines = append(lines, parts[random.Intn(len(parts))])
		}
		message := strings.Join(lines, "\n")
		if random.Intn(2) == 0 {
			message = full.Append(message)
		}
		// What git reads as trailers, standing alone in the last paragraph, must mean to us what the whole message means.
		want := release.ParseTrailers("subject\n\n" + gitTrailers(t, message))
		if diff := cmp.Diff(want, release.ParseTrailers(message)); diff != "" {
			t.Errorf("message %q: git reads other trailers (-git +ours):\n%s", message, diff)
		}
	}
}

func TestGitReadsEveryAppendedTrailer(t *testing.T) {
	for _, message := range []string{"subject", "subject\n\nbody", "subject\n\nSigned-off-by: a <a@b>", "#1 subject\n\nbody: text\nmore"} {
		appended := full.Append(message)
		got := strings.Split(strings.TrimSpace(gitTrailers(t, appended)), "\n")
		want := strings.Split(strings.TrimSpace(strings.TrimPrefix(full.Append("s"), "s\n\n")), "\n")
		if diff := cmp.Diff(want, got[max(0, len(got)-len(want)):]); diff != "" {
			t.Errorf("message %q: trailers of git (-want +got):\n%s", appended, diff)
		}
	}
}

func gitTrailers(t *testing.T, message string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "interpret-trailers", "--parse", "--no-divider")
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	cmd.Stdin = strings.NewReader(message)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git: %v: %s", err, stderr.Bytes())
	}
	return string(out)
}

func FuzzTrailers(f *testing.F) {
	f.Add("subject\n\nbody", "r1", "apps/web", "web", "web:2", "web:1")
	f.Add("subject\n\nSlipway-Release: evil\n more\nKey: x", "a\nSlipway-Order: 9", ".", "a=b", "x (was y)", "none")
	f.Add("s", "r1", " ", "web", "web:2", "")
	f.Add("", "\u2028", "\xff", "", "\r", "(was )")
	f.Add("s\n\n(cherry picked from commit 1)\ntext\n# c", "r", "p", "n", "v", "")
	f.Fuzz(func(t *testing.T, message, id, path, name, to, from string) {
		given := release.Trailers{Release: id, Paths: []release.PathImages{
			{Path: path, Images: []release.Image{{Name: name, New: to, Old: from}}},
		}}
		release.ParseTrailers(message)
		appended := given.Append(message)
		read := release.ParseTrailers(appended)
		if again := given.Append(appended); again != appended {
			t.Errorf("appending twice to %q: %q, once: %q", message, again, appended)
		}
		if n := len(read.Paths); n != 1 || len(read.Paths[0].Images) > 1 || read.Order != 0 || read.Reverts != "" {
			t.Errorf("message %q reads as %+v, appended were %+v", appended, read, given)
		}
		plain := func(s string) bool {
			return s != "" && s != "none" &&
				!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("=()", r) })
		}
		if slices.ContainsFunc([]string{id, path, name, to, from}, func(s string) bool { return !plain(s) }) {
			return
		}
		if diff := cmp.Diff(given, read); diff != "" {
			t.Errorf("message %q (-appended +read):\n%s", appended, diff)
		}
	})
}
