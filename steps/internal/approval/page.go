package approval

import (
	"bytes"
	_ "embed" // page.html
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
	"unicode"
)

// PageOptions say as of when a page is written, and for whom.
type PageOptions struct {
	// Now is when it is written: what is left of a window is as of then.
	Now time.Time
	// Location is where its readers are: times are given there as well as in UTC. Nil means in UTC only.
	Location *time.Location
}

// Longer diffs and lists of objects are folded.
const (
	shortDiff = 40 // lines
	shortList = 10
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// WritePage writes records as one HTML page, in their order: all there is to say of a single one, and more than one with an
// index and folded details. The page loads nothing and runs nothing, and says the same where its styles are not applied. What
// records hold is text to it, whatever it looks like; only http and https URLs become links.
func WritePage(w io.Writer, records []Record, o PageOptions) error {
	v := pageView{Title: "Releases", Written: o.moment(o.Now), List: len(records) != 1}
	for i, r := range records {
		v.Releases = append(v.Releases, o.release(r, fmt.Sprintf("release-%d", i+1), v.List))
	}
	if !v.List {
		v.Title = "Release"
	}
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, v); err != nil {
		return fmt.Errorf("page of %d approvals: %w", len(records), err)
	}
	if _, err := io.WriteString(w, reveal(page.String())); err != nil {
		return fmt.Errorf("page of %d approvals: %w", len(records), err)
	}
	return nil
}

// reveal spells out the characters that would be invisible, or would reorder what stands around them. The two joiners do no
// harm, and scripts and emoji are written with them.
func reveal(page string) string {
	const joiners = "\u200c\u200d"
	var b strings.Builder
	b.Grow(len(page))
	for _, c := range page {
		switch {
		case unicode.IsGraphic(c), c == '\n', c == '\t', strings.ContainsRune(joiners, c):
			b.WriteRune(c)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String()
}

type pageView struct {
	Title    string
	Written  moment
	List     bool
	Releases []releaseView
}

// releaseView is a record in the words of the page.
type releaseView struct {
	Anchor, Heading  string
	Status           status
	Quote            string // of whoever decided
	Subject          Subject
	Decision         *Decision
	Images           []imageView
	Commit, Build    link
	Revert           *link
	Applications     []applicationView
	Decided          moment
	Opened, Deadline moment
	Left             string // of the window; empty where it no longer matters
	Silence          string
	Rejection        string
	Approvers        string
	Objects          objectsView
	Diff             diffView
	Events           []eventView
	Folded           bool
}

type applicationView struct {
	Application link
	Health      string
}

type eventView struct {
	At    moment
	State State
	What  string
	Who   string
	Build *link
	// Commit stands for a Note that is one.
	Commit *link
	Note   string
}

func (o PageOptions) release(r Record, anchor string, folded bool) releaseView {
	s := r.Subject
	v := releaseView{
		Anchor: anchor, Heading: r.heading(), Status: o.status(r), Subject: s, Decision: r.Decision,
		Commit: linkTo(s.Revision, s.CommitURL), Build: buildLink(s.Job, s.Order, s.Build),
		Opened: o.moment(r.Opened), Deadline: o.moment(r.Deadline),
		Silence: silence(r.Terms), Rejection: rejection(r.Terms), Approvers: approvers(r.Terms),
		Objects: viewObjects(s.Objects, folded), Diff: viewDiff(s.Diff, folded), Folded: folded,
	}
	if r.State == Pending {
		v.Left = spell(r.Remaining(o.Now))
	}
	if d := r.Decision; d != nil {
		v.Decided = o.moment(d.At)
		if d.Why != BySilence {
			v.Quote = d.Reason
		}
	}
	if r.Revision != "" {
		v.Revert = r.revertLink()
	}
	for _, i := range s.Images {
		v.Images = append(v.Images, viewImage(i, s.Path))
	}
	for _, a := range s.Applications {
		v.Applications = append(v.Applications, applicationView{linkTo(a.Name, a.URL), orElse(a.Health, "not known")})
	}
	for _, e := range r.Events {
		v.Events = append(v.Events, o.event(r, e))
	}
	return v
}

func (r Record) heading() string {
	if r.Subject.Path == "" && len(r.Subject.Applications) > 0 {
		return r.Subject.Applications[0].Name
	}
	return orElse(r.Subject.Path, r.ID)
}

// revertLink finds the commit of the revert where that of the release is.
func (r Record) revertLink() *link {
	url := ""
	if s := r.Subject; s.Revision != "" && strings.Contains(s.CommitURL, s.Revision) {
		url = strings.Replace(s.CommitURL, s.Revision, r.Revision, 1)
	}
	l := linkTo(r.Revision, url)
	return &l
}

func (o PageOptions) event(r Record, e Event) eventView {
	v := eventView{At: o.exactly(e.At), State: e.State, What: eventWords[e.State], Who: who(e.Actor), Note: e.Note}
	if v.What == "" {
		v.What = string(e.State)
	}
	if e.Note != "" && e.Note == r.Revision {
		v.Commit, v.Note = r.revertLink(), ""
	}
	if e.Build != "" && e.Build != r.Subject.Build {
		l := linkTo(e.Build, e.Build)
		v.Build = &l
	}
	return v
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
