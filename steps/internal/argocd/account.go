package argocd

import (
	"context"
	"net/http"
	"strings"
	"time"

	accountpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/account"
	settingspkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/settings"
	versionpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/version"
	"google.golang.org/protobuf/types/known/emptypb"

	"slipway/steps/internal/failure"
)

// Route says in words how the server was reached.
func (c *Client) Route() string {
	route := "gRPC"
	if c.settings.web || c.GRPCError != nil {
		route = "gRPC-web"
	}
	switch {
	case c.settings.plainText:
		route += " without TLS"
	case c.settings.insecure:
		route += " over TLS with a certificate that is not checked"
	default:
		route += " over TLS"
	}
	if c.settings.rootPath != "" {
		route += " below /" + c.settings.rootPath
	}
	return route
}

// Version is what the server says of itself.
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	reply, err := versionpkg.NewVersionServiceClient(c.conn).Version(ctx, &emptypb.Empty{})
	if err != nil {
		return "", classify(ctx, "version of Argo CD at "+c.settings.address, err)
	}
	return reply.Version, nil
}

// May asks the server whether the account has a right on an application of a known project, such as sync on applications.
func (c *Client) May(ctx context.Context, r Ref, resource, action string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	object, err := c.rightsObject(ctx, r)
	if err != nil {
		return false, r.failed(ctx, err)
	}
	reply, err := accountpkg.NewAccountServiceClient(c.conn).CanI(ctx, &accountpkg.CanIRequest{
		Resource: resource, Action: action, Subresource: object,
	})
	if err != nil {
		return false, r.failed(ctx, err)
	}
	return reply.Value == "yes", nil
}

// rightsObject is how policies name an application: those in Argo CD's own namespace without it.
func (c *Client) rightsObject(ctx context.Context, r Ref) (string, error) {
	if r.Namespace == "" {
		return r.Project + "/" + r.Name, nil
	}
	settings, err := settingspkg.NewSettingsServiceClient(c.conn).Get(ctx, &settingspkg.SettingsQuery{})
	if err != nil {
		return "", err
	}
	if r.Namespace == settings.ControllerNamespace {
		return r.Project + "/" + r.Name, nil
	}
	return r.Project + "/" + r.Namespace + "/" + r.Name, nil
}

// ServerTime returns the clock of the server, or of the proxy in front of it, and when the answer came in.
func (s *Settings) ServerTime(ctx context.Context) (server, local time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	web, err := newWeb(s)
	if err != nil {
		return server, local, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, web.base+"/healthz", nil)
	if err != nil {
		return server, local, err
	}
	response, err := web.client.Do(request)
	if err != nil {
		return server, local, err
	}
	_ = response.Body.Close() // only the header is of interest, whatever the page is
	server, err = http.ParseTime(response.Header.Get("Date"))
	return server, time.Now(), err
}

// CheckTokenAt refuses a token that the clock of the server, which knows no grace, says is not valid now.
func (s *Settings) CheckTokenAt(server time.Time) error {
	claims := claimsOf(s.token)
	from, expires := claims.NotBefore.time(), claims.Expires.time()
	switch {
	case server.Before(from):
		return failure.New(failure.Denied, hintClock, "the token is valid from %s only, and the server has %s", stamp(from), stamp(server))
	case claims.Expires != 0 && !server.Before(expires):
		return failure.New(failure.Denied, hintClock, "the token has expired at %s, and the server has %s", stamp(expires), stamp(server))
	}
	return nil
}

// From returns the sources that read a repository, by whatever address.
func (a *Application) From(repo string) []Source {
	var sources []Source
	for _, position := range a.positions(repo) {
		sources = append(sources, a.Sources[position])
	}
	return sources
}

// RoleOf is the project that a token belongs to, or "" if it is that of an account.
func (c *Client) RoleOf() string {
	role, isRole := strings.CutPrefix(c.user, "proj:")
	if !isRole {
		return ""
	}
	project, _, _ := strings.Cut(role, ":")
	return project
}
