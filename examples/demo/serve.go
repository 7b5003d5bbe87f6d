package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/internal/argocdtest"
)

// serve keeps the servers of the demo until the context ends, for somebody who tries slipway from another terminal. An image
// whose tag begins with "fail" crashes, all others are healthy after three seconds.
func (s *stage) serve(ctx context.Context) error {
	if err := s.serveArgoCD(); err != nil { //nolint:contextcheck // the server is closed, not cancelled
		return err
	}
	err := s.argocd.Rollout(application, func(w argocdtest.Workload) argocdtest.Outcome {
		if slices.ContainsFunc(w.Images, func(image string) bool { return strings.Contains(image, ":fail") }) {
			return argocdtest.CrashLoop("starting\npanic: no database\n", 0)
		}
		return argocdtest.Healthy(3 * time.Second)
	})
	if err != nil {
		return err
	}
	// In a file, and not on the screen: one of them is a token.
	exports := fmt.Sprintf("export PATH=%q SLIPWAY_PATH=%q SLIPWAY_APP=%q", s.dir+":$PATH", overlay, application)
	for _, variable := range s.env {
		name, value, _ := strings.Cut(variable, "=")
		exports += fmt.Sprintf(" %s=%q", name, value)
	}
	env := filepath.Join(s.dir, "env")
	if err := os.WriteFile(env, []byte(exports+"\n"), 0o600); err != nil {
		return err
	}
	say(`
Until Ctrl-C these are yours. In another terminal:

  . %s
  slipway release --image %sshop-web:5.1.0 --await 5m --on-reject revert

Tags that begin with "fail" crash.
`, env, registry)
	<-ctx.Done()
	return nil
}
