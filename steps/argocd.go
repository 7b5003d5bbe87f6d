package steps

import (
	"context"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/gitrepo"
)

// argocdOpts holds options of the argocd command, some of which are secret: they are no flag.
const argocdOpts = "ARGOCD_OPTS"

// argocdOptions say how a step reaches Argo CD. The token comes from the environment only, as do headers.
type argocdOptions struct {
	server, rootPath, caFile, config, context string
	plainText, insecure, web                  bool

	dial argocd.Dialer // how connections are made, other than over the network
}

func (a *argocdOptions) flags() []cli.Flag {
	return []cli.Flag{
		stringFlag(&a.server, "argocd-server", "", "the API server; ARGOCD_OPTS, ARGOCD_SERVER and the argocd command's configuration by default", category(categoryArgoCD)),
		boolFlag(&a.plainText, "argocd-plaintext", "connect without TLS", category(categoryArgoCD)),
		boolFlag(&a.insecure, "argocd-insecure", "do not check the server's certificate", category(categoryArgoCD)),
		stringFlag(&a.caFile, "argocd-ca-file", "", "a PEM file with certificates to trust besides the system's", category(categoryArgoCD)),
		boolFlag(&a.web, "argocd-grpc-web", "use gRPC-web at once, instead of when gRPC has not got through", category(categoryArgoCD)),
		stringFlag(&a.rootPath, "argocd-grpc-web-root-path", "", "the path below which an ingress has the server", category(categoryArgoCD)),
		stringFlag(&a.config, "argocd-config", "", "the argocd command's configuration file, at its usual place by default", category(categoryArgoCD)),
		stringFlag(&a.context, "argocd-context", "", "the context in that file, its current one by default", category(categoryArgoCD)),
	}
}

// connect reaches the server once for everything that the step wants of it. A token that does not last until the end of the
// step is a warning, one that is not valid now an error before anything was asked.
func (a *argocdOptions) connect(ctx context.Context, e *Env, timeout time.Duration) (*argocd.Client, error) {
	settings, err := a.settings(e)
	if err != nil {
		return nil, err
	}
	expires, err := settings.CheckToken(time.Now())
	if err != nil {
		return nil, err
	}
	if !expires.IsZero() && time.Until(expires) < timeout {
		e.Log.Warn("the token for Argo CD may expire before the step ends", zap.Time("expires", expires))
	}
	var client *argocd.Client
	unit := "connect to Argo CD at " + settings.Address()
	err = retry.Do(ctx, e.Retry, e.observe(unit), func(ctx context.Context) error {
		client, err = argocd.Connect(ctx, settings)
		return err
	})
	if err != nil {
		return nil, err
	}
	if client.GRPCError != nil {
		e.Log.Info("gRPC does not get through, gRPC-web does: --argocd-grpc-web saves the attempt", zap.String("reason", client.GRPCError.Error()))
	}
	return client, nil
}

func (a *argocdOptions) settings(e *Env) (argocd.Settings, error) {
	token, err := e.Secret("ARGOCD_AUTH_TOKEN")
	if err != nil {
		return argocd.Settings{}, err
	}
	server, _ := e.LookupEnv("ARGOCD_SERVER")
	opts, _ := e.LookupEnv(argocdOpts)
	settings, err := argocd.Resolve(argocd.Options{
		Server: a.server, EnvServer: server, EnvToken: token, Opts: opts, ConfigFile: a.config, Context: a.context,
		PlainText: a.plainText, Insecure: a.insecure, GRPCWeb: a.web, RootPath: a.rootPath, CAFile: a.caFile,
	})
	if err != nil {
		return settings, err
	}
	e.Redact.Add(settings.Secrets()...)
	settings.Dial = a.dial
	settings.UserAgent = programName + "/" + buildVersion()
	return settings, nil
}

// containsTries bounds how often the repository is asked in vain before its answer is done without.
const containsTries = 3

// ancestry answers whether a commit contains the release, from the repository, which is opened when the first question comes.
// A repository that does not answer is no reason to fail: then only the very commit is accepted.
type ancestry struct {
	git  *gitOptions
	env  *Env
	repo string

	mu     sync.Mutex
	remote *gitrepo.Remote
	failed int // in a row
}

func (a *ancestry) contains(ctx context.Context, tip, revision string) (contains, known bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if contains, err = a.ask(ctx, tip, revision); err == nil {
		a.failed = 0
		return contains, true, nil
	}
	if a.failed++; ctx.Err() != nil || retry.IsTransient(err) && a.failed < containsTries {
		return false, false, err
	}
	a.env.Log.Warn("the repository does not tell whether a commit contains the release",
		zap.String("commit", tip), zap.String("reason", err.Error()))
	return false, false, nil
}

func (a *ancestry) ask(ctx context.Context, tip, revision string) (bool, error) {
	if a.remote == nil {
		remote, err := a.git.open(a.env, a.repo)
		if err != nil {
			return false, err
		}
		a.remote = remote
	}
	to, okTo := gitrepo.ParseHash(tip)
	from, okFrom := gitrepo.ParseHash(revision)
	if !okTo || !okFrom {
		return false, nil // the version of a chart, say
	}
	return a.remote.Contains(ctx, to, from, defaultHistory)
}

func (a *ancestry) close() {
	if a.remote != nil {
		_ = a.remote.Close()
	}
}
