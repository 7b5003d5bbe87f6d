package steps_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/test/bufconn"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
	"slipway/steps"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/redact"
)

// syncBubble is an Argo CD in memory with applications that follow one commit, in a bubble where waiting takes no time.
type syncBubble struct {
	*argocdtest.Server
	t      *testing.T
	step   *steps.ArgoCDSync
	env    *steps.Env
	logs   *observer.ObservedLogs
	stderr *bytes.Buffer
}

func inSyncBubble(t *testing.T, o argocdtest.Options, apps int, test func(b *syncBubble)) {
	t.Helper()
	git := gitrepotest.New(t, gitrepotest.Options{})
	files := map[string]string{
		"prod/kustomization.yaml": "resources: [deployment.yaml]\n",
		"prod/deployment.yaml":    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}\n",
	}
	if err := git.CreateRepo("gitops", gitrepotest.RepoOptions{Files: files}); err != nil {
		t.Fatal(err)
	}
	url := git.URL("gitops")
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 20)
		o.Listener = listener
		b := &syncBubble{Server: argocdtest.New(t, o), t: t, stderr: &bytes.Buffer{}}
		core, logs := observer.New(zap.InfoLevel)
		b.logs = logs
		token := b.Token("admin", time.Time{})
		b.env = &steps.Env{
			Log: zap.New(core), Redact: redact.New(), Stderr: b.stderr,
			LookupEnv: func(name string) (string, bool) {
				value, found := map[string]string{"ARGOCD_SERVER": "argocd.example.com", "ARGOCD_AUTH_TOKEN": token}[name]
				return value, found
			},
		}
		b.step = &steps.ArgoCDSync{Timeout: 10 * time.Minute, Settle: 5 * time.Second, DegradedGrace: 90 * time.Second}
		b.step.DialWith(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) })
		for i := range apps {
			name := fmt.Sprint("app-", i)
			if err := b.AddApp(argocdtest.App{Name: name, Repo: url, Path: "prod", Revision: "main"}); err != nil {
				t.Fatal(err)
			}
			b.step.Apps = append(b.step.Apps, name)
			b.step.Revision = b.App(name).Status.Sync.Revision
		}
		test(b)
	})
}

func TestTenApplicationsAreWaitedForOverOneConnection(t *testing.T) {
	inSyncBubble(t, argocdtest.Options{ProgressingFor: 3 * time.Minute}, 10, func(b *syncBubble) {
		began := time.Now()
		result, err := b.step.Run(b.t.Context(), b.env)
		if err != nil || result.Outcome != steps.Changed {
			b.t.Errorf("ended as %s, %v", result.Outcome, err)
		}
		if took := time.Since(began); took > 3*time.Minute+7*time.Second {
			b.t.Errorf("took %s", took)
		}
		if n := len(b.Calls("session.GetUserInfo")); n != 1 {
			b.t.Errorf("connected %d times", n)
		}
		if n := len(b.Calls("application.Sync")); n != 10 {
			b.t.Errorf("synced %d times", n)
		}
	})
}

func TestALongWaitSaysSomethingEachHalfMinute(t *testing.T) {
	inSyncBubble(t, argocdtest.Options{ProgressingFor: time.Hour}, 1, func(b *syncBubble) {
		began := time.Now()
		_, err := b.step.Run(b.t.Context(), b.env)
		if failure.KindOf(err) != failure.Pending || !strings.Contains(err.Error(), "waited 10m0s for health: it is Progressing") {
			b.t.Errorf("ended with %v", err)
		}
		if took := time.Since(began); took > 10*time.Minute || took < 10*time.Minute-6*time.Second {
			b.t.Errorf("took %s", took)
		}
		var last time.Time
		beats := 0
		for _, entry := range b.logs.All() {
			if !last.IsZero() && entry.Time.Sub(last) > time.Minute {
				b.t.Errorf("silent from %s to %s", last, entry.Time)
			}
			if last = entry.Time; strings.Contains(entry.Message, "app-0: waiting for health: it is Progressing: apps/Deployment app-0/web") {
				beats++
			}
		}
		if beats < 18 || beats > 20 {
			b.t.Errorf("%d heartbeats: %v", beats, messages(b.logs.All()))
		}
		if !strings.Contains(b.stderr.String(), "app-0: Pod app-0/web-") {
			b.t.Errorf("the explanation is %q", b.stderr)
		}
	})
}

func messages(entries []observer.LoggedEntry) (all []zapcore.Entry) {
	for _, entry := range entries {
		all = append(all, entry.Entry)
	}
	return all
}

func TestNoServerHoldsTheStepLongerThanItsTime(t *testing.T) {
	for name, fault := range map[string]func(b *syncBubble){
		"one that is silent from the beginning": func(b *syncBubble) { b.Fail("", argocdtest.Always, argocdtest.Hang()) },
		"one that is silent once it is known": func(b *syncBubble) {
			b.Fault(func(c argocdtest.Call) argocdtest.Fault { return argocdtest.Fault{Hang: c.Index > 2} })
		},
		"one that ends every call": func(b *syncBubble) {
			b.Fault(func(c argocdtest.Call) argocdtest.Fault { return argocdtest.Fault{Drop: c.Index > 2} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inSyncBubble(t, argocdtest.Options{}, 2, func(b *syncBubble) {
				b.step.Timeout = 3 * time.Minute
				fault(b)
				began := time.Now()
				_, err := b.step.Run(b.t.Context(), b.env)
				if took := time.Since(began); failure.KindOf(err) != failure.Pending || took > 3*time.Minute+time.Second {
					b.t.Errorf("after %s: %v", took, err)
				}
			})
		})
	}
}

func TestAnOperationIsStartedAgainWithinTheTimeOnly(t *testing.T) {
	inSyncBubble(t, argocdtest.Options{OperationFor: 24 * time.Second}, 1, func(b *syncBubble) {
		if err := b.ErrOperations("app-0", "connection refused"); err != nil {
			b.t.Fatal(err)
		}
		b.step.Timeout = 30 * time.Second
		_, err := b.step.Run(b.t.Context(), b.env)
		if failure.KindOf(err) != failure.Pending || !strings.Contains(err.Error(), "waited 30s for the next start of the operation; the last answer: ") ||
			!strings.Contains(err.Error(), "the operation has ended as Error: connection refused") {
			b.t.Errorf("ended with %v", err)
		}
		if n := len(b.Calls("application.Sync")); n != 1 {
			b.t.Errorf("synced %d times", n)
		}
	})
}

func TestAnInterruptedWaitSaysWhatItWasWaitingFor(t *testing.T) {
	inSyncBubble(t, argocdtest.Options{ProgressingFor: time.Hour}, 1, func(b *syncBubble) {
		ctx, cancel := context.WithCancelCause(b.t.Context())
		time.AfterFunc(time.Minute, func() { cancel(errors.New("stopped by a signal")) })
		began := time.Now()
		_, err := b.step.Run(ctx, b.env)
		if took := time.Since(began); err == nil || took > time.Minute+time.Second ||
			!strings.Contains(err.Error(), "application app-0: stopped by a signal; it was waiting for health") {
			b.t.Errorf("after %s: %v", took, err)
		}
	})
}
