package approval

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// status is how it stands, in a word or two and in full sentences.
type status struct {
	State State
	Word  string
	Said  string
}

var stateWords = map[State]string{
	Pending:    "Waiting for an answer",
	Accepted:   "Accepted",
	Rejected:   "Rejected",
	Reverting:  "Being reverted",
	Reverted:   "Reverted",
	Superseded: "Superseded",
}

var eventWords = map[State]string{
	Pending:    "Opened",
	Accepted:   "Accepted",
	Rejected:   "Rejected",
	Reverting:  "Taken back in Git",
	Reverted:   "Reverted",
	Superseded: "Superseded",
}

func (o PageOptions) status(r Record) status {
	s := status{State: r.State, Word: stateWords[r.State]}
	switch {
	case r.Overdue(o.Now):
		s.Word = "Window closed"
		s.Said = fmt.Sprintf("No answer by %s is recorded. Silence means that %s, once slipway looks at it again.",
			o.moment(r.Deadline), silence(r.Terms))
	case r.State == Pending:
		s.Said = fmt.Sprintf("Without an answer by %s %s. This page was written %s before that.",
			o.moment(r.Deadline), silence(r.Terms), spell(r.Remaining(o.Now)))
	default:
		s.Said = reason(r) + " " + consequence(r)
		if r.Decision.Why == BySilence {
			s.Word += " by silence"
		}
	}
	return s
}

// reason says what a settled record was decided by.
func reason(r Record) string {
	d := r.Decision
	switch d.Why {
	case BySilence:
		return fmt.Sprintf("Nobody answered within %s.", spell(r.Deadline.Sub(r.Opened)))
	case ByUnhealthy:
		return "It was rejected without asking: it has not become healthy."
	default:
		return fmt.Sprintf("%s %s it, %s after the question was opened.", sentence(d.String()), d.State, spell(d.At.Sub(r.Opened)))
	}
}

// consequence says what has become of the release.
func consequence(r Record) string {
	switch r.State {
	case Rejected:
		if r.Terms.OnReject == RevertRejected {
			return "It has not been taken back yet."
		}
		return "Nothing is taken back: that is left to you."
	case Reverting:
		return "It was taken back in Git, and the cluster has not followed yet."
	case Reverted:
		return "It was taken back."
	case Superseded:
		return "A newer release had replaced it before it could be taken back."
	default:
		return "The release stays."
	}
}

// silence says what is going to happen if nobody answers.
func silence(t Terms) string {
	switch {
	case t.OnTimeout != RejectOnTimeout:
		return "the release stays"
	case t.OnReject == RevertRejected:
		return "the release is rejected and reverted"
	default:
		return "the release is rejected"
	}
}

func rejection(t Terms) string {
	if t.OnReject == RevertRejected {
		return "the release is reverted"
	}
	return "it is recorded, and nothing is taken back"
}

func approvers(t Terms) string {
	who := "anybody"
	if len(t.Approvers) > 0 {
		who = strings.Join(t.Approvers, ", ")
	}
	if t.NotByAuthor {
		who += "; not its authors"
	}
	return who
}

// who is empty for what a process did of which nobody is known.
func who(a Actor) string {
	switch {
	case a.By != "":
		return "by " + a.String()
	case a.Via != "":
		return "via " + a.Via
	default:
		return ""
	}
}

// sentence begins one with somebody. Names stay as they are.
func sentence(s string) string {
	if rest, ok := strings.CutPrefix(s, "somebody"); ok {
		return "Somebody" + rest
	}
	return s
}

// moment is a time as the page gives it: for machines, in UTC, and where the reader is.
type moment struct{ Machine, UTC, Local string }

func (m moment) String() string {
	if m.Local == "" {
		return m.UTC
	}
	return fmt.Sprintf("%s (%s)", m.UTC, m.Local)
}

func (o PageOptions) moment(t time.Time) moment  { return o.format(t, "15:04") }
func (o PageOptions) exactly(t time.Time) moment { return o.format(t, time.TimeOnly) }

func (o PageOptions) format(t time.Time, clock string) moment {
	t = t.UTC()
	m := moment{Machine: t.Format(time.RFC3339), UTC: t.Format(time.DateOnly + " " + clock + " UTC")}
	if o.Location == nil {
		return m
	}
	local := t.In(o.Location)
	if _, offset := local.Zone(); offset == 0 {
		return m
	}
	layout := clock + " MST"
	if local.Day() != t.Day() {
		layout = time.DateOnly + " " + layout
	}
	m.Local = local.Format(layout)
	return m
}

// spell gives a duration in words, and no more exactly than somebody who waits wants to know it.
func spell(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return count(int(max(0, d)/time.Second), "second")
	case d < 2*time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		s := count(int(d/time.Hour), "hour")
		if minutes := int(d % time.Hour / time.Minute); minutes > 0 {
			s += " " + count(minutes, "minute")
		}
		return s
	default:
		return count(int(d/(24*time.Hour)), "day")
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// link is a text that leads somewhere if it has a Href. If the address must not be a link, it is a Label.
type link struct{ Text, Href, Label string }

func linkTo(text, address string) link {
	u, err := url.Parse(address)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil {
		return link{Text: orElse(text, address), Href: address}
	}
	if text == "" || text == address {
		return link{Text: address}
	}
	return link{Text: text, Label: address}
}

// buildLink names the build as its job does.
func buildLink(job string, order int64, address string) link {
	if job != "" && order != 0 {
		job = fmt.Sprintf("%s #%d", job, order)
	}
	return linkTo(job, address)
}
