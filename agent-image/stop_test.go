//go:build image

package agentimage_test

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/gitrepotest"
)

// Jenkins stops a step in a container by a SIGTERM to every process that has the step's cookie in its environment.
func TestAStepThatIsStoppedEndsSoonAndIsFinishedByTheNext(t *testing.T) {
	for name, user := range users {
		t.Run("as "+name, func(t *testing.T) {
			a := newAgent(t, user)
			cookie := "JENKINS_SERVER_COOKIE=durable-" + strings.ToLower(rand.Text())
			script := "exec slipway release --repo " + a.git.URL(repository) + " --path " + overlay + " --image " + web + ":6.0.0 " +
				"--job shop/web --order 1 --app " + application + " --settle 0s"

			pushing, ended := make(chan struct{}), make(chan struct{})
			atPush, atEnd := sync.OnceFunc(func() { close(pushing) }), sync.OnceFunc(func() { close(ended) })
			t.Cleanup(atEnd)
			a.git.Fault(func(r gitrepotest.Request) gitrepotest.Action {
				if !r.Push {
					return gitrepotest.Pass()
				}
				return gitrepotest.Action{Before: func() { atPush(); <-ended }, DropBefore: true}
			})
			step := a.command([]string{cookie}, "sh", "-xec", script)
			if err := step.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() {
				defer atEnd()
				exited <- step.Wait()
			}()
			select {
			case <-pushing:
			case err := <-exited:
				t.Fatalf("the step ended before it pushed: %v", err)
			}

			stop := a.command(nil, "sh", "-c", "kill $(grep -l "+cookie+" /proc/*/environ 2>/dev/null | cut -d / -f 3)")
			if _, err := output(stop); err != nil {
				t.Fatal(err)
			}
			stopped := time.Now()
			if code := exitCode(t, <-exited); code != 143 {
				t.Errorf("the step that was stopped exits with %d, not 143", code)
			}
			if took := time.Since(stopped); took > 3*time.Second {
				t.Errorf("the step ended %s after it was stopped", took)
			}
			a.git.Fault(nil)
			a.onBranch("5.0.3", 1)

			if _, err := output(a.command(nil, "sh", "-xec", script)); err != nil {
				t.Fatal(err)
			}
			a.onBranch("6.0.0", 2)
		})
	}
}
