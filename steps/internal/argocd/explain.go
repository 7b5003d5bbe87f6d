package argocd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Explanation is why an application is not as asked. Its parts may be missing: the account may not see everything, and what
// cannot be found out is named in Missing.
type Explanation struct {
	Page       string           `json:"page"`
	Operation  *OperationReport `json:"operation,omitempty"`
	Conditions []Condition      `json:"conditions,omitempty"`
	Resources  []ResourceReport `json:"resources,omitempty"`
	Causes     []Cause          `json:"causes,omitempty"`
	Hooks      []Hook           `json:"hooks,omitempty"`
	Missing    []string         `json:"missing,omitempty"`
}

// OperationReport is the operation that runs or was the last.
type OperationReport struct {
	Phase     string     `json:"phase"`
	Message   string     `json:"message,omitempty"`
	By        string     `json:"by"`
	Revisions []string   `json:"revisions,omitempty"`
	Started   *time.Time `json:"started,omitempty"`
	Finished  *time.Time `json:"finished,omitempty"`
}

// ResourceReport is a resource that failed, differs or is not healthy.
type ResourceReport struct {
	Resource string `json:"resource"`
	Result   string `json:"result,omitempty"`
	Sync     string `json:"sync,omitempty"`
	Health   string `json:"health,omitempty"`
	Message  string `json:"message,omitempty"`
}

// Cause is an object of the cluster that is not healthy, below which none is: mostly a pod.
type Cause struct {
	Resource string   `json:"resource"`
	Health   string   `json:"health,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Message  string   `json:"message,omitempty"`
	Restarts string   `json:"restarts,omitempty"`
	Images   []string `json:"images,omitempty"`
	Events   []string `json:"events,omitempty"`
	// Log is the end of what its container has written, that of the container before if it was restarted.
	Log string `json:"log,omitempty"`
}

// Hook is a hook that failed, as it was before Argo CD deleted it.
type Hook struct {
	Resource string  `json:"resource"`
	Phase    string  `json:"phase"`
	Message  string  `json:"message,omitempty"`
	Causes   []Cause `json:"causes,omitempty"`
}

const (
	// causesMax and logMax bound what is fetched and shown: logs may be long, and may hold what is nobody's business.
	causesMax = 3
	logMax    = 4 << 10
	// eventsMax is what a pod that fails for hours repeats.
	eventsMax = 10
	// hookLimit bounds the look at a hook that is about to be deleted.
	hookLimit = 5 * time.Second
)

// Explain finds out why the application is as it was last seen. It takes as long as ctx allows and returns what it has found
// by then; it returns nil if the application was never seen.
func (f *Follower) Explain(ctx context.Context) *Explanation {
	app := f.App()
	if app == nil {
		return nil
	}
	e := &Explanation{Page: f.Client.Page(app.Ref), Conditions: app.Conditions, Hooks: f.hooks, Resources: reports(app)}
	if app.State != nil {
		e.Operation = &OperationReport{
			Phase: app.State.Phase, Message: app.State.Message, By: app.State.who(), Revisions: app.State.Revisions,
			Started: pointer(app.State.StartedAt), Finished: pointer(app.State.FinishedAt),
		}
	}
	if app.Health == healthy && len(e.Resources) == 0 {
		return e
	}
	x := f.examiner()
	e.Causes = x.causes(ctx, func(*node) bool { return true })
	e.Missing = x.missing
	return e
}

func pointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// reports names what is wrong: what the operation failed at first, then what differs or is not healthy.
func reports(app *Application) []ResourceReport {
	all := map[Key]ResourceReport{}
	if app.State != nil {
		for _, r := range app.State.Results {
			result := r.Status
			if r.Hook != "" {
				result = r.HookPhase
			}
			if slices.Contains([]string{"SyncFailed", "PruneSkipped", phaseFailed, phaseError}, result) {
				all[r.Key] = ResourceReport{Resource: r.String(), Result: result, Message: r.Message}
			}
		}
	}
	for _, r := range app.Resources {
		if !ill(r) && !differs(r) {
			continue
		}
		report := all[r.Key]
		report.Resource, report.Sync, report.Health = r.String(), r.Sync, r.Health
		report.Message = cmp.Or(report.Message, r.Message)
		all[r.Key] = report
	}
	sorted := slices.Collect(maps.Values(all))
	slices.SortFunc(sorted, func(x, y ResourceReport) int {
		return cmp.Or(cmp.Compare(y.rank(), x.rank()), strings.Compare(x.Resource, y.Resource))
	})
	return sorted
}

func (r ResourceReport) rank() int {
	switch {
	case r.Result != "" && r.Result != "PruneSkipped":
		return 3
	case r.Health == degraded:
		return 2
	case r.Health != "" && r.Health != healthy:
		return 1
	}
	return 0
}

func sortedKeys[V any](m map[Key]V) []Key {
	return slices.SortedFunc(maps.Keys(m), func(x, y Key) int { return strings.Compare(x.String(), y.String()) })
}

// linesMax is what a person reads in the log of a build.
const linesMax = 12

// Lines is the explanation for people.
func (e *Explanation) Lines() []string {
	var lines []string
	add := func(format string, args ...any) {
		lines = append(lines, strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n", " "))
	}
	if e.Operation != nil {
		add("operation of %s: %s%s", e.Operation.By, e.Operation.Phase, saying(e.Operation.Message))
	}
	for _, c := range first(e.Conditions, 2) {
		add("%s: %s", c.Type, c.Message)
	}
	for _, h := range first(e.Hooks, 2) {
		add("hook %s: %s%s", h.Resource, h.Phase, saying(h.Message))
		for _, c := range first(h.Causes, 1) {
			lines = append(lines, c.lines()...)
		}
	}
	for _, r := range first(e.Resources, 3) {
		add("%s: %s%s", r.Resource, strings.Join(nonEmpty(r.Result, r.Sync, r.Health), ", "), saying(r.Message))
	}
	for _, c := range e.Causes {
		lines = append(lines, c.lines()...)
	}
	lines = first(lines, linesMax)
	for _, m := range e.Missing {
		add("%s", m)
	}
	return append(lines, e.Page)
}

func (c *Cause) lines() []string {
	what := strings.Join(nonEmpty(c.Health, c.Reason), ", ")
	if c.Restarts != "" {
		what += ", " + c.Restarts + " restarts"
	}
	lines := []string{c.Resource + ": " + what + saying(c.Message)}
	if len(c.Events) > 0 {
		lines = append(lines, "  event: "+c.Events[0])
	}
	written := strings.Split(strings.TrimSpace(c.Log), "\n")
	for _, line := range written[max(0, len(written)-3):] {
		if line != "" {
			lines = append(lines, "  log: "+line)
		}
	}
	return lines
}

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }

func nonEmpty(words ...string) []string {
	return slices.DeleteFunc(words, func(word string) bool { return word == "" })
}
