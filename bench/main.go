// Command bench runs slipway beside what its users would run instead, on generated repositories served by `git
// http-backend` on loopback, and writes the comparison as markdown to stdout. Progress goes to stderr.
//
// It needs git and the go command. Generated repositories and the tools it compares with are kept in the user's cache directory.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the benchmark, or one of the processes of its own that it starts: the server, so that its CPU is not the clients',
// and those that generate repositories and schemas, so that their memory is not either.
func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		return serve(args[1], os.Stdin, os.Stdout)
	}
	if len(args) == 2 && args[0] == "schemas" {
		return writeSchemas(ctx, args[1])
	}
	if len(args) == 3 && args[0] == "generate" {
		size, err := sizeNamed(args[2])
		if err != nil {
			return err
		}
		return generate(ctx, args[1], size)
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	return s.bench(ctx, os.Stdout)
}

// settings are the flags of a run.
type settings struct {
	runs    int
	rounds  int
	quick   bool
	parts   []string
	repos   []string
	rows    string
	writers int
	limit   time.Duration
	spread  time.Duration
}

func parse(args []string) (settings, error) {
	s := settings{}
	var parts, repos string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&s.runs, "n", 3, "runs of each row of bump (a full clone runs once), sync and release; the medians are reported")
	flags.IntVar(&s.rounds, "rounds", 11, "rounds of validate and start; the medians are reported")
	flags.BoolVar(&s.quick, "quick", false, "a smoke run: tiny repositories, few writers")
	flags.StringVar(&parts, "parts", "start,sync,bump,burst,spread,validate,validate-all", "what to run; release is the one that is not run by default: it needs what make e2e needs")
	flags.StringVar(&repos, "repos", "small,large", "on which repositories")
	flags.StringVar(&s.rows, "rows", "", "only rows whose name contains this")
	flags.IntVar(&s.writers, "writers", 50, "writers of burst and spread")
	flags.DurationVar(&s.limit, "limit", 3*time.Minute, "when writers are killed")
	flags.DurationVar(&s.spread, "over", time.Minute, "the time over which spread starts its writers")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.quick {
		s.runs, s.rounds, s.writers, s.limit, s.spread = 1, 3, 8, 30*time.Second, 4*time.Second
	}
	s.parts, s.repos = strings.Split(parts, ","), strings.Split(repos, ",")
	return s, nil
}

func (s settings) bench(ctx context.Context, out io.Writer) (err error) {
	b, err := prepare(ctx, s)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := b.close(); err == nil {
			err = closeErr
		}
	}()
	_, _ = fmt.Fprintf(out, "%s, %d CPUs, %s, %s\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), b.versions, runtime.Version())
	failed, err := b.withoutRepositories(ctx, out)
	if err != nil {
		return err
	}
	for _, name := range s.repos {
		size, err := sizeNamed(s.sizeName(name))
		if err != nil {
			return err
		}
		failures, err := b.repository(ctx, out, size)
		if err != nil {
			return err
		}
		failed = append(failed, failures...)
	}
	if len(failed) > 0 {
		return fmt.Errorf("not as promised: %s", strings.Join(failed, "; "))
	}
	return nil
}

func (s settings) sizeName(repo string) string {
	if s.quick {
		return "quick-" + repo
	}
	return repo
}

func (s settings) wants(part string) bool { return slices.Contains(s.parts, part) }

// withoutRepositories runs the wanted parts that need no generated repository, and returns what slipway did not do as promised.
func (b *bench) withoutRepositories(ctx context.Context, out io.Writer) ([]string, error) {
	var failed []string
	for _, part := range []struct {
		name string
		run  func(context.Context, io.Writer) ([]string, error)
	}{{"start", b.starts}, {"sync", b.syncs}, {"release", b.releases}, {"validate", b.validate}} {
		if !b.settings.wants(part.name) {
			continue
		}
		failures, err := part.run(ctx, out)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		failed = append(failed, failures...)
	}
	return failed, nil
}

// repository runs the wanted parts on one repository and returns what slipway did not do as promised.
func (b *bench) repository(ctx context.Context, out io.Writer, size scale) ([]string, error) {
	parts := []struct {
		name string
		run  func(context.Context, io.Writer, scale) ([]string, error)
	}{{"bump", b.bumps}, {"burst", b.burst}, {"spread", b.spread}, {"validate-all", b.validateAll}}
	var failed []string
	generated := false
	for _, part := range parts {
		if !b.settings.wants(part.name) {
			continue
		}
		if !generated {
			progress("repository %s: %d services, %d commits", size.name, size.services, size.commits)
			if err := b.generated(ctx, size); err != nil {
				return nil, err
			}
			generated = true
		}
		failures, err := part.run(ctx, out, size)
		if err != nil {
			return nil, fmt.Errorf("%s on %s: %w", part.name, size.name, err)
		}
		failed = append(failed, failures...)
	}
	return failed, nil
}

func progress(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// cacheDir is where generated repositories and tools are kept. The version is raised when the generator changes.
func cacheDir() (string, error) {
	user, err := os.UserCacheDir()
	return filepath.Join(user, "slipway-bench", "v1"), err
}
