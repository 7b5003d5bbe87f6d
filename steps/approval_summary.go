package steps

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/manifest"
	"slipway/steps/internal/release"
	"slipway/steps/internal/udiff"
)

// mostObjects is how many objects a summary names.
const mostObjects = 8

// summaryOf says in a few lines what is asked about, until when, and what silence means, for the message of a prompt.
func summaryOf(r approval.Record) string {
	s := r.Subject
	var lines []string
	add := func(name, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%-12s", name)+fmt.Sprintf(format, args...))
	}
	add("release", "%s", r.ID)
	for _, i := range s.Images {
		add("image", "%s", imageText(i))
	}
	for n, o := range s.Objects {
		if n == mostObjects {
			add("", "and %d more", len(s.Objects)-n)
			break
		}
		add("object", "%s %s", o.Object, o.Change)
	}
	for _, a := range s.Applications {
		add("application", "%s", strings.Join(strings.Fields(a.Name+" "+a.Health+" "+a.URL), " "))
	}
	if s.CommitURL != "" {
		add("commit", "%s", s.CommitURL)
	}
	if s.Build != "" {
		add("build", "%s", s.Build)
	}
	if r.State != approval.Pending {
		add("state", "%s: %s", r.State, decisionText(r))
		return strings.Join(lines, "\n")
	}
	silence := "silence accepts it"
	if r.Terms.OnTimeout == approval.RejectOnTimeout {
		silence = "silence rejects it"
	}
	add("until", "%s; %s", bothTimes(r.Deadline), silence)
	return strings.Join(lines, "\n")
}

// imageText leaves out of the references what is the image's name.
func imageText(i approval.Image) string {
	ends := [2]string{i.Old, i.New}
	for n, ref := range ends {
		if rest, ok := strings.CutPrefix(ref, i.Name); ok && strings.HasPrefix(rest, ":") {
			ref = rest[1:]
		}
		ends[n] = cmp.Or(ref, "(none)")
	}
	return fmt.Sprintf("%s: %s -> %s", i.Name, ends[0], ends[1])
}

// decisionText says who has decided what, and why.
func decisionText(r approval.Record) string {
	d := r.Decision
	at := d.At.UTC().Format("2006-01-02 15:04:05 MST")
	var text string
	switch d.Why {
	case approval.BySilence:
		return fmt.Sprintf("%s by silence at %s", d.State, at)
	case approval.ByUnhealthy:
		text = fmt.Sprintf("taken back without asking at %s", at)
	default:
		text = fmt.Sprintf("%s by %s at %s", d.State, d.Actor, at)
	}
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

// bothTimes is a time where this process runs, and in UTC.
func bothTimes(t time.Time) string {
	const layout = "2006-01-02 15:04:05 MST"
	local, utc := t.Local().Format(layout), t.UTC().Format(layout)
	if local == utc {
		return utc
	}
	return local + " (" + utc + ")"
}

var scpURL = regexp.MustCompile(`^(?:[^@/]+@)?([^:/]+):(.+)$`)

// commitURL is where forges show a commit: GitLab, GitHub, Gitea and Gitee agree on it. A pattern of the user's own has
// {revision} in it. Where there is no such page the link is empty.
func commitURL(pattern, repo, revision string) string {
	if revision == "" {
		return ""
	}
	if pattern != "" {
		return strings.ReplaceAll(pattern, "{revision}", revision)
	}
	u, err := url.Parse(repo)
	if at := scpURL.FindStringSubmatch(repo); at != nil && !strings.Contains(repo, "://") {
		u, err = &url.URL{Scheme: "https", Host: at[1], Path: "/" + strings.TrimPrefix(at[2], "/")}, nil
	}
	if err != nil || u.Host == "" {
		return ""
	}
	if u.Scheme == "ssh" {
		u.Scheme, u.Host = "https", u.Hostname()
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git") + "/commit/" + revision
	return u.String()
}

// imagesAsked flattens the images of a release for a record.
func imagesAsked(paths []release.PathImages) []approval.Image {
	var all []approval.Image
	for _, at := range paths {
		for _, i := range at.Images {
			all = append(all, approval.Image{Path: at.Path, Name: i.Name, Old: i.Old, New: i.New})
		}
	}
	return all
}

// mostDiff bounds the difference that a record carries: it is read at each look.
const mostDiff = 60_000

// addChanges puts into a subject what becomes of the rendered objects.
func addChanges(s *approval.Subject, path string, changes []manifest.ObjectChange) {
	var diff strings.Builder
	for _, c := range changes {
		s.Objects = append(s.Objects, approval.Object{Object: c.Object, Change: string(c.Kind)})
		fmt.Fprintln(&diff, changeLine(objectChange(path, c)))
		if c.Kind == manifest.Changed {
			diff.WriteString(udiff.Unified(c.Object, c.Before, c.After))
		}
	}
	s.Diff = diff.String()
	if len(s.Diff) > mostDiff {
		cut := strings.LastIndexByte(s.Diff[:mostDiff], '\n') + 1
		s.Diff = s.Diff[:cut] + "(the rest is left out)\n"
	}
}
