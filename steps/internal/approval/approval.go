// Package approval is the question whether a release stays: a record with a deadline, which is answered once. What an answer
// makes of the record is decided by functions of the record and the time alone (decide.go); a Store keeps records where every
// agent finds them, and lets one writer win (store*.go).
package approval

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"slipway/steps/internal/failure"
)

// State is how far the question has come.
//
//	pending -> accepted
//	pending -> rejected -> reverting -> reverted
//	           rejected -> superseded
type State string

// The states. Reverting is a release that was taken back in Git, and not in the cluster yet. Superseded is a rejected release that a newer one had replaced before it could be taken back.
const (
	Pending    State = "pending"
	Accepted   State = "accepted"
	Rejected   State = "rejected"
	Reverting  State = "reverting"
	Reverted   State = "reverted"
	Superseded State = "superseded"
)

// IsRejected says whether the release is not to stay, whether or not that has been carried out yet.
func (s State) IsRejected() bool {
	return s == Rejected || s == Reverting || s == Reverted || s == Superseded
}

// IsFinal says whether nothing is left to be done.
func (s State) IsFinal(onReject OnReject) bool {
	return s == Accepted || s == Reverted || s == Superseded || s == Rejected && onReject == KeepRejected
}

// OnTimeout says what silence means.
type OnTimeout string

// The meanings of silence.
const (
	AcceptOnTimeout OnTimeout = "accept"
	RejectOnTimeout OnTimeout = "reject"
)

// OnReject says what is done about a release that was rejected.
type OnReject string

// What is done: nothing but to say so, or a revert.
const (
	KeepRejected   OnReject = "keep"
	RevertRejected OnReject = "revert"
)

// Why says what a decision came from.
type Why string

// What decisions come from: somebody's answer, nobody's within the window, or an application that has not become healthy.
const (
	ByAnswer    Why = "answer"
	BySilence   Why = "silence"
	ByUnhealthy Why = "unhealthy"
)

// recordVersion is raised when an older slipway could not obey a record any more. Fields that it only does not know survive
// being read and written.
const recordVersion = 1

// Record is the question and what came of it. Times are in UTC.
type Record struct {
	ID       string    `json:"id"`
	State    State     `json:"state"`
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline"`
	Terms    Terms     `json:"terms"`
	Subject  Subject   `json:"subject"`
	// Decision is nil while the record is pending.
	Decision *Decision `json:"decision,omitempty"`
	// Revision is the commit that took the release back.
	Revision string `json:"revision,omitempty"`
	// Events say what happened to the record, oldest first, its opening included.
	Events []Event `json:"events"`
	// Unknown holds the fields that other versions of slipway wrote.
	Unknown map[string]json.RawMessage `json:"-"`
}

// Terms are the rules of one question. They are fixed when it is opened.
type Terms struct {
	OnTimeout OnTimeout `json:"onTimeout"`
	OnReject  OnReject  `json:"onReject"`
	// Approvers are the only ones whose answer counts; none means anybody.
	Approvers []string `json:"approvers,omitempty"`
	// NotByAuthor refuses the answers of Subject.Authors.
	NotByAuthor bool `json:"notByAuthor,omitempty"`
}

// Subject is what is being asked about.
type Subject struct {
	Repo         string        `json:"repo,omitempty"` // without user and password
	Branch       string        `json:"branch,omitempty"`
	Path         string        `json:"path,omitempty"`
	Revision     string        `json:"revision,omitempty"`
	Release      string        `json:"release,omitempty"`
	Job          string        `json:"job,omitempty"`
	Order        int64         `json:"order,omitempty"`
	Build        string        `json:"build,omitempty"`
	Authors      []string      `json:"authors,omitempty"`
	Images       []Image       `json:"images,omitempty"`
	Objects      []Object      `json:"objects,omitempty"`
	CommitURL    string        `json:"commitURL,omitempty"`
	Applications []Application `json:"applications,omitempty"`
	// Diff is what the release changes in the rendered objects, as a unified diff without values of Secrets; it is cut when it
	// is long.
	Diff string `json:"diff,omitempty"`
}

// Image is an image that is released. Old is empty when there was none before.
type Image struct {
	Path string `json:"path,omitempty"`
	Name string `json:"name"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// Object is a rendered object that the release adds, changes or removes.
type Object struct {
	Object string `json:"object"`
	Change string `json:"change"`
}

// Application is an application of Argo CD that the release goes to, and how it was when the question was opened.
type Application struct {
	Name   string `json:"name"`
	Health string `json:"health,omitempty"`
	URL    string `json:"url,omitempty"`
}

// Decision is the answer.
type Decision struct {
	State State `json:"state"` // Accepted or Rejected
	Why   Why   `json:"why"`
	Actor
	At time.Time `json:"at"`
	// Reason is in the words of whoever answered.
	Reason string `json:"reason,omitempty"`
}

// Actor is who does something to a record. Nothing of it is proven: it is what the process says that writes the record.
type Actor struct {
	By    string `json:"by,omitempty"`    // a name; empty where it is not known
	Via   string `json:"via,omitempty"`   // such as jenkins, kubesphere, terminal or command
	Build string `json:"build,omitempty"` // the build that did it, or in which it was done
}

func (a Actor) String() string {
	by := a.By
	if by == "" {
		by = "somebody unknown"
	}
	if a.Via != "" {
		by += " via " + a.Via
	}
	return by
}

// Event is one change of a record.
type Event struct {
	At    time.Time `json:"at"`
	State State     `json:"state"`
	Actor
	Note string `json:"note,omitempty"`
}

// ID is the name of the question about one revision: of the path in the repository, or of the application where no path is
// known. A pipeline that is started again asks by the same name.
func ID(pathOrApp, revision string) string { return pathOrApp + "@" + revision }

// Encode returns the record as it is stored.
func (r Record) Encode() ([]byte, error) {
	if !utf8.ValidString(r.ID) {
		return nil, failure.New(failure.Usage, "give an id of text", "approval %q: its id is not UTF-8", r.ID)
	}
	data, err := json.Marshal(struct {
		Version int `json:"version"`
		Record
	}{recordVersion, r})
	if err != nil {
		return nil, fmt.Errorf("approval %s: %w", r.ID, err)
	}
	fields := map[string]json.RawMessage{}
	for name, value := range r.Unknown {
		fields[name] = value
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("approval %s: %w", r.ID, err)
	}
	if data, err = json.MarshalIndent(fields, "", "  "); err != nil {
		return nil, fmt.Errorf("approval %s: %w", r.ID, err)
	}
	return append(data, '\n'), nil
}

// Decode reads a stored record. One of a newer version, or one that is damaged, is failure.Invalid.
func Decode(id string, data []byte) (Record, error) {
	var r Record
	var header struct{ Version int }
	if err := json.Unmarshal(data, &header); err != nil {
		return Record{}, failure.New(failure.Invalid, "look at what else writes there; delete the record to ask anew", "approval %s: its record cannot be read: %w", id, err)
	}
	if header.Version != recordVersion {
		return Record{}, failure.New(failure.Invalid, "use the slipway that opened it, or a newer one", "approval %s: its record is of version %d, this slipway reads version %d",
			id, header.Version, recordVersion)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, failure.New(failure.Invalid, "look at what else writes there; delete the record to ask anew", "approval %s: its record cannot be read: %w", id, err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return Record{}, failure.New(failure.Invalid, "", "approval %s: its record cannot be read: %w", id, err)
	}
	for _, name := range []string{"version", "id", "state", "opened", "deadline", "terms", "subject", "decision", "revision", "events"} {
		delete(all, name)
	}
	if len(all) > 0 {
		r.Unknown = all
	}
	if r.ID != id || !slices.Contains([]State{Pending, Accepted, Rejected, Reverting, Reverted, Superseded}, r.State) || (r.Decision == nil) != (r.State == Pending) || r.Deadline.IsZero() {
		return Record{}, failure.New(failure.Invalid, "look at what else writes there; delete the record to ask anew",
			"approval %s: its record makes no sense: it is of %q, in the state %q", id, r.ID, r.State)
	}
	return r, nil
}

// isName compares names of people as people do.
func isName(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}
