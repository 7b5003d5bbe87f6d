package steps

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

// Status shows releases and what was decided about them.
type Status struct {
	ID    string
	HTML  string
	Limit int64

	approval approvalOptions
	git      gitOptions
}

type statusDetails struct {
	Approvals []approval.Record `json:"approvals"`
	HTML      string            `json:"html,omitempty"`
}

func newStatus() *cli.Command {
	s := &Status{}
	flags := []cli.Flag{
		stringFlag(&s.ID, "id", "", "the id of one question; it may also be given without --id; the newest ones by default"),
		stringFlag(&s.HTML, "html", "", "write a page about them to this file: it needs nothing else, and can be archived"),
		int64Flag(&s.Limit, "limit", 20, "show at most this many"),
		stringFlag(&s.approval.store, "store", string(approval.Auto), "where records are kept, as await-approval has it", category(categoryApproval)),
	}
	flags = append(flags, s.git.flags("the repository", "main")...)
	return step(s, &cli.Command{
		Name:      "status",
		Usage:     "show releases that somebody was asked about, and what was decided",
		ArgsUsage: idArgument,
		Description: `Lists the newest questions, or shows one with all that happened to it: what was released, who decided, when, through what and why.
Changes nothing: a window that has closed is settled by the run that asks next.`,
		Flags: flags,
	}, withRetry)
}

// Run reads the records. It is unchanged always.
func (s *Status) Run(ctx context.Context, env *Env) (Result, error) {
	if s.Limit < 1 {
		return Result{}, failure.New(failure.Usage, "", "--limit must be above zero")
	}
	q, closing, err := s.approval.open(env, &s.git, &identity{}, &build{}, nil)
	if err != nil {
		return Result{}, err
	}
	defer closing()
	details := statusDetails{Approvals: []approval.Record{}, HTML: s.HTML}
	if s.ID != "" {
		r, err := q.must(ctx, s.ID)
		if err != nil {
			return Result{}, err
		}
		details.Approvals = append(details.Approvals, r)
		s.show(env, r)
	} else {
		err := retry.Do(ctx, env.Retry, env.observe("list approvals"), func(ctx context.Context) error {
			found, err := q.store.List(ctx, int(s.Limit))
			details.Approvals = append(details.Approvals[:0], found...)
			return err
		})
		switch {
		case err != nil && len(details.Approvals) == 0:
			return Result{}, err
		case err != nil:
			env.Log.Warn("not all records can be read", zap.Error(err))
		}
		s.list(env, q, details.Approvals)
	}
	if s.HTML != "" {
		if err := s.write(env, details.Approvals, q.now()); err != nil {
			return Result{}, err
		}
	}
	return Result{Step: "status", Outcome: Unchanged, Details: details}, nil
}

func (s *Status) list(env *Env, q *questions, records []approval.Record) {
	if len(records) == 0 {
		_, _ = fmt.Fprintln(env.Stderr, "nobody was asked about a release here")
		return
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, r := range records {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Opened.UTC().Format("2006-01-02 15:04"), stateText(r, q.now()), r.ID, imagesText(r.Subject.Images))
	}
	_ = w.Flush()
	_, _ = fmt.Fprint(env.Stderr, table.String())
}

// stateText says in a few words how it stands.
func stateText(r approval.Record, now time.Time) string {
	switch {
	case r.Overdue(now):
		return fmt.Sprintf("%s, and its window has closed: silence %ss it", r.State, r.Terms.OnTimeout)
	case r.State == approval.Pending:
		return fmt.Sprintf("%s, %s left", r.State, r.Remaining(now).Round(time.Second))
	case r.Decision.Why == approval.BySilence:
		return string(r.State) + " by silence"
	case r.Decision.Why == approval.ByUnhealthy:
		return string(r.State) + ", not healthy"
	case r.Decision.By != "":
		return string(r.State) + " by " + oneText(r.Decision.By)
	}
	return string(r.State)
}

func imagesText(images []approval.Image) string {
	var parts []string
	for _, i := range images {
		parts = append(parts, oneText(imageText(i)))
	}
	return strings.Join(parts, ", ")
}

func (s *Status) show(env *Env, r approval.Record) {
	_, _ = fmt.Fprintln(env.Stderr, oneText(summaryOf(r)))
	for _, e := range r.Events {
		line := fmt.Sprintf("%s  %-10s %s", e.At.UTC().Format("2006-01-02 15:04:05"), e.State, e.Actor)
		if e.Note != "" {
			line += ": " + e.Note
		}
		if e.Build != "" {
			line += " (" + e.Build + ")"
		}
		_, _ = fmt.Fprintln(env.Stderr, oneText(line))
	}
}

// write replaces the page at once, so that nobody archives half of it.
func (s *Status) write(env *Env, records []approval.Record, now time.Time) error {
	cannot := func(err error) error {
		return failure.New(failure.Usage, "name a file that can be written with --html", "the page: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.HTML), 0o755); err != nil {
		return cannot(err)
	}
	file, err := os.CreateTemp(filepath.Dir(s.HTML), ".slipway-*.html")
	if err != nil {
		return cannot(err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	err = approval.WritePage(file, records, approval.PageOptions{Now: now, Location: time.Local})
	if err == nil {
		err = file.Chmod(0o644)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), s.HTML)
	}
	if err != nil {
		return cannot(err)
	}
	env.Log.Info("page written to " + s.HTML)
	return nil
}
