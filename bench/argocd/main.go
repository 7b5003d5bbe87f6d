// Command argocd serves an Argo CD with applications of a repository on loopback until stdin ends. It belongs to bench, and is a
// program of its own, since no child of bench can be seen to need less memory than bench itself.
//
//	argocd REPO PATH...
//
// It writes its address and a token as the first line. For a line with a commit and a number it writes "ready" and begins to
// watch that many applications; for the empty line that follows, when the last of them was Synced and Healthy at the commit, in
// nanoseconds since 1970, and how many connections there have been in between.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"slipway/internal/argocdtest"
)

// progressing is how long a workload takes to be ready: long enough for everybody to be waiting for it.
const progressing = 2 * time.Second

func main() {
	if err := serve(os.Args[1], os.Args[2:], os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "argocd:", err)
		os.Exit(1)
	}
}

func serve(repo string, paths []string, stdin io.Reader, stdout io.Writer) (err error) {
	server, err := argocdtest.Start(argocdtest.Options{ProgressingFor: progressing})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := server.Close(); err == nil {
			err = closeErr
		}
	}()
	for i, path := range paths {
		app := argocdtest.App{Name: appName(i), Repo: repo, Path: path, Revision: "main", Deployed: true}
		if err := server.AddApp(app); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(stdout, server.Addr(), server.Token("admin", time.Time{})); err != nil {
		return err
	}
	for lines := bufio.NewScanner(stdin); lines.Scan(); {
		if err := watch(server, lines, stdout); err != nil {
			return err
		}
	}
	return nil
}

func appName(i int) string { return fmt.Sprintf("app-%d", i) }

// watch answers the line that was read, and the next one.
func watch(server *argocdtest.Server, lines *bufio.Scanner, stdout io.Writer) error {
	var commit string
	var applications int
	if _, err := fmt.Sscan(lines.Text(), &commit, &applications); err != nil {
		return fmt.Errorf("%q: %w", lines.Text(), err)
	}
	before := server.Connections()
	reached := make(chan time.Time, 1)
	failed := make(chan error, 1)
	go func() {
		err := awaitAll(server, commit, applications)
		reached <- time.Now()
		failed <- err
	}()
	if _, err := fmt.Fprintln(stdout, "ready"); err != nil || !lines.Scan() {
		return err
	}
	at := <-reached
	if err := <-failed; err != nil {
		return err
	}
	_, err := fmt.Fprintln(stdout, at.UnixNano(), server.Connections()-before)
	return err
}

// awaitAll returns when the last application has reached the commit: none leaves it again.
func awaitAll(server *argocdtest.Server, commit string, applications int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for i := range applications {
		if _, err := server.Await(ctx, appName(i), argocdtest.Reached(commit)); err != nil {
			return err
		}
	}
	return nil
}
