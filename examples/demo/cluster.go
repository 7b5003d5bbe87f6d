package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"slipway/internal/argocdtest"
)

// application is what the demo's Argo CD makes of the overlay.
const application = "shop-prod"

// serveArgoCD starts an Argo CD in process that reads the Git server, and has the application healthy at what is on the branch.
func (s *stage) serveArgoCD() error {
	var err error
	if s.argocd, err = argocdtest.Start(argocdtest.Options{ProgressingFor: 300 * time.Millisecond}); err != nil {
		return err
	}
	s.env = append(s.env, "ARGOCD_SERVER="+s.argocd.Addr(), "ARGOCD_AUTH_TOKEN="+s.argocd.Token("admin", time.Time{}),
		"SLIPWAY_ARGOCD_PLAINTEXT=true", "SLIPWAY_REPO="+s.server.URL(repository), "SLIPWAY_SETTLE=0s", "SLIPWAY_DEGRADED_GRACE=1s")
	say("An Argo CD in process, which reads that repository: %s\n", s.argocd.URL())
	return s.argocd.AddApp(argocdtest.App{Name: application, Repo: s.server.URL(repository), Path: overlay, Revision: "main", Deployed: true})
}

// releaseToCluster takes one image from built to healthy, and another one only as far as it gets.
func (s *stage) releaseToCluster(ctx context.Context) error {
	say("\n%s\n", paint(bold, "One command takes an image into the cluster"))
	release := func(outcome, tag, build string) error {
		_, err := s.run(ctx, "", outcome, "release", "--path", overlay, "--image", registry+"shop-web:"+tag, "--app", application,
			"--job", "shop/web", "--order", build)
		return err
	}
	if err := release("changed", "5.3.0", "43"); err != nil {
		return err
	}
	if err := release("unchanged", "5.3.0", "43"); err != nil {
		return err
	}
	if err := s.running("5.3.0"); err != nil {
		return err
	}

	say("\n%s\n", paint(bold, "The next one crashes: it is explained, and taken back"))
	defer record(&s.transcript)()
	crash := argocdtest.CrashLoop("starting 5.4.0\npanic: no database\n", 0)
	becomes := func(o argocdtest.Outcome) error {
		return s.argocd.Rollout(application, func(argocdtest.Workload) argocdtest.Outcome { return o })
	}
	if err := becomes(crash); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := release("", "5.4.0", "44"); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		return fmt.Errorf("release of an image that crashes: %w", err)
	}
	if err := becomes(argocdtest.Healthy(0)); err != nil {
		return err
	}
	if _, err := s.run(ctx, "", "changed", "revert", "--record", ".slipway/release.json"); err != nil {
		return err
	}
	if _, err := s.run(ctx, "", "changed", "argocd-sync", "--app", application); err != nil {
		return err
	}
	return s.running("5.3.0")
}

// running checks what the application has come to.
func (s *stage) running(tag string) error {
	app := s.argocd.App(application)
	tip, err := s.server.Git(repository, "rev-parse", "main")
	if err != nil {
		return err
	}
	if got, want := app.Status.Sync.Revision, strings.TrimSpace(tip); got != want || app.Status.Health.Status != "Healthy" {
		return fmt.Errorf("%s is %s at %s, not healthy at %s", application, app.Status.Health.Status, got, want)
	}
	images := strings.Join(app.Status.Summary.Images, " ")
	if !strings.Contains(images, registry+"shop-web:"+tag) {
		return fmt.Errorf("%s runs %s, not %s", application, images, tag)
	}
	say("%s %s is healthy at the tip of main, with %s\n", paint(green, "ok:"), application, tag)
	return nil
}
