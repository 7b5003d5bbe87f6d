package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// askForApproval releases three images, and has somebody decide about two of them.
func (s *stage) askForApproval(ctx context.Context) error {
	release := func(outcome, tag, build, window string) error {
		_, err := s.run(ctx, "shop/web", outcome, "release", "--repo", s.server.URL(repository), "--path", overlay, "--image", registry+"shop-web:"+tag,
			"--job", "shop/web", "--order", build, "--app", application, "--settle", "0s", "--await", window, "--on-reject", "revert", "--poll", "200ms")
		return err
	}
	say("\n%s\n", paint(bold, "Is it to stay? Nobody answers within the window: it stays"))
	if err := release("changed", "5.5.0", "45", "1s"); err != nil {
		return err
	}
	if err := s.running("5.5.0"); err != nil {
		return err
	}

	say("\n%s\n", paint(bold, "Somebody says that the next one stays"))
	answered := s.answer(ctx, "approve", "looks good")
	if err := errors.Join(release("changed", "5.6.0", "46", "5m"), <-answered); err != nil {
		return err
	}
	if err := s.running("5.6.0"); err != nil {
		return err
	}

	say("\n%s\n", paint(bold, "Somebody says that the one after it does not: it is taken back, in Git and in the cluster"))
	answered = s.answer(ctx, "reject", "checkout is slow")
	var exit *exec.ExitError
	if err := release("", "5.7.0", "47", "5m"); !errors.As(err, &exit) || exit.ExitCode() != 10 {
		return fmt.Errorf("a release that is rejected: %w", err)
	}
	if err := <-answered; err != nil {
		return err
	}
	if err := s.running("5.6.0"); err != nil {
		return err
	}
	if _, err := s.run(ctx, "", "unchanged", "status", "--repo", s.server.URL(repository), "--html", "releases.html"); err != nil {
		return err
	}
	return nil
}

// answer waits until a question is open, as a person would, and answers it.
func (s *stage) answer(ctx context.Context, verb, reason string) <-chan error {
	done := make(chan error, 1)
	go func() {
		id, err := s.question(ctx)
		if err == nil {
			_, err = s.run(ctx, "lead", "changed", verb, id, "--repo", s.server.URL(repository), "--by", "lead", "--reason", reason)
		}
		done <- err
	}()
	return done
}

// question returns the id of the question that is open.
func (s *stage) question(ctx context.Context) (string, error) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		refs, err := s.server.Git(repository, "for-each-ref", "--format=%(objectname)", "refs/slipway/approvals")
		if err != nil {
			return "", err
		}
		for commit := range strings.FieldsSeq(refs) {
			data, err := s.server.Git(repository, "show", commit+":approval.json")
			if err != nil {
				return "", err
			}
			var record struct{ ID, State string }
			if err := json.Unmarshal([]byte(data), &record); err != nil {
				return "", err
			}
			if record.State == "pending" {
				return record.ID, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-ticker.C:
		}
	}
}
