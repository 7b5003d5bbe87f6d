package steps

import (
	"context"
	"errors"
	"time"

	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

// checkArgoCD finds out whether the server is there for us, and then looks at the applications.
func (c *checkup) checkArgoCD(ctx context.Context) {
	settings, err := c.argocd.settings(c.env)
	if err != nil && !c.wantsArgoCD(c.env) {
		c.skip("neither --app nor --selector nor a server was named", "argocd-server")
		return
	}
	if err != nil {
		c.fail("argocd-server", err)
		c.skip("it needs the server", "argocd-token", "argocd-clock", "argocd-account")
		c.skipApplications()
		return
	}
	if client := c.checkServer(ctx, &settings); client != nil {
		defer func() { _ = client.Close() }()
		c.checkApplications(ctx, client)
	} else {
		c.skipApplications()
	}
}

// checkServer returns a client if the server accepts the token.
func (c *checkup) checkServer(ctx context.Context, settings *argocd.Settings) *argocd.Client {
	client, err := argocd.Connect(ctx, *settings)
	refused := errors.Is(err, argocd.ErrUnauthenticated)
	switch {
	case client != nil:
		c.describeServer(ctx, settings, client)
	case refused:
		c.ok("argocd-server", "%s answers", settings.Address())
	default:
		c.fail("argocd-server", err)
	}
	valid := c.checkToken(settings)
	if err != nil && !refused {
		c.skip("it needs the server", "argocd-clock", "argocd-account")
		return nil
	}
	inTime := c.checkClock(ctx, settings, valid)
	switch {
	case client != nil:
		c.ok("argocd-account", "%s", client.User())
	case !valid:
		c.skip("it needs a token that is valid", "argocd-account")
	case inTime != nil:
		c.fail("argocd-account", failure.New(failure.Denied, failure.HintOf(inTime), "%w, for %w", err, inTime))
	default:
		c.fail("argocd-account", err)
	}
	return client
}

func (c *checkup) describeServer(ctx context.Context, settings *argocd.Settings, client *argocd.Client) {
	version, err := client.Version(ctx)
	if err != nil {
		version = "a version it does not tell"
	}
	if client.GRPCError == nil {
		c.ok("argocd-server", "%s has %s, reached by %s", settings.Address(), version, client.Route())
		return
	}
	c.warn("argocd-server", "save the vain attempt with --argocd-grpc-web, or let a proxy on the way pass HTTP/2",
		"%s has %s, reached by %s only; gRPC does not get through, as where a proxy speaks HTTP/1.1: %s",
		settings.Address(), version, client.Route(), client.GRPCError)
}

func (c *checkup) checkToken(settings *argocd.Settings) (valid bool) {
	expires, err := settings.CheckToken(time.Now())
	switch {
	case err != nil:
		c.fail("argocd-token", err)
		return false
	case expires.IsZero():
		c.ok("argocd-token", "it does not say when it expires")
	case time.Until(expires) < 24*time.Hour:
		c.warn("argocd-token", "make a new one soon", "it expires in %s, at %s", time.Until(expires).Round(time.Minute), expires.UTC().Format(time.RFC3339))
	default:
		c.ok("argocd-token", "it is valid until %s", expires.UTC().Format(time.RFC3339))
	}
	return true
}

// checkClock returns why the server's clock makes a token invalid that is valid by ours.
func (c *checkup) checkClock(ctx context.Context, settings *argocd.Settings, valid bool) error {
	server, local, err := settings.ServerTime(ctx)
	if err != nil {
		c.skip("the server does not tell its time", "argocd-clock")
		return nil
	}
	if err := settings.CheckTokenAt(server); valid && err != nil {
		c.fail("argocd-clock", failure.New(failure.Denied, "", "%s: %w", skewText(server, local), err))
		return err
	}
	c.checkSkew("argocd-clock", server, local)
	return nil
}

// skipApplications names what cannot be looked at.
func (c *checkup) skipApplications() {
	if c.Selector != "" {
		c.skip("it needs an account that Argo CD accepts", applicationChecks...)
	}
	for _, name := range c.Apps {
		c.application = name
		c.skip("it needs an account that Argo CD accepts", applicationChecks...)
	}
	c.application = ""
}
