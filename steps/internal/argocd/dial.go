package argocd

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	sessionpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/session"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"slipway/steps/internal/failure"
)

// The SDK's service clients and messages are used, but not its NewClient, which cannot be used safely:
//   - It dials with WithBlock and context.Background(): a server that accepts connections and is silent holds it for ever.
//   - It asks for the version behind the caller's back, twice if the first call fails, and ends the process by log.Fatal when
//     the second connection cannot be made.
//   - Its gRPC-web goes through a socket in TMPDIR, whose path must be short, whose failure is log.Fatal, and whose HTTP
//     requests know nothing of the caller's context or of HTTPS_PROXY; errors after the first message become an end.
//   - Its retries are lost for one kind of call and multiply ours for another.
//   - It may log in again and rewrite the user's configuration file.
// So the connection is made here, for both protocols, and nothing on it retries.

// connectLimit bounds one way of connecting; there are two.
const connectLimit = 10 * time.Second

// maxMessage is the SDK's own bound: the tree of a large application is some megabytes.
const maxMessage = 200 << 20

// Dialer makes one connection.
type Dialer func(ctx context.Context, address string) (net.Conn, error)

// Client is a connection to one server, for any number of applications at once.
type Client struct {
	settings *Settings
	conn     *grpc.ClientConn
	apps     applicationpkg.ApplicationServiceClient
	user     string
	// GRPCError is why gRPC did not get through although gRPC-web did, or nil.
	GRPCError error
}

// Connect tries gRPC and then gRPC-web, and makes sure that the server accepts the token. It takes 20 seconds at most.
func Connect(ctx context.Context, s Settings) (*Client, error) {
	if s.web {
		return s.connect(ctx, s.dialWeb)
	}
	c, err := s.connect(ctx, s.dialGRPC)
	if err == nil || isTrust(err.Error()) || ctx.Err() != nil || isRefusedToken(err) {
		return c, err
	}
	web, webErr := s.connect(ctx, s.dialWeb)
	if webErr != nil {
		if isRefusedToken(webErr) {
			return nil, webErr
		}
		return nil, err
	}
	web.GRPCError = err
	return web, nil
}

func (s *Settings) connect(ctx context.Context, dial func() (*grpc.ClientConn, error)) (*Client, error) {
	conn, err := dial()
	if err != nil {
		return nil, failure.New(failure.Usage, hintServer, "Argo CD at %s: %w", s.address, err)
	}
	c := &Client{settings: s, conn: conn, apps: applicationpkg.NewApplicationServiceClient(conn)}
	if err := c.login(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// login asks who we are. The call is open to everybody, so that a token which is not accepted shows in the answer.
func (c *Client) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	info, err := sessionpkg.NewSessionServiceClient(c.conn).GetUserInfo(ctx, &sessionpkg.GetUserInfoRequest{})
	if err != nil {
		return classify(ctx, "Argo CD at "+c.settings.address, err)
	}
	if !info.LoggedIn {
		return refusedToken(c.settings.address)
	}
	c.user = info.Username
	return nil
}

// Close ends the connection and everything that is open on it.
func (c *Client) Close() error { return c.conn.Close() }

// User is the account that the token belongs to.
func (c *Client) User() string { return c.user }

func (s *Settings) dialGRPC() (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if !s.plainText {
		config, err := s.tls()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(config)
	}
	options := append(s.callOptions(),
		grpc.WithTransportCredentials(transport),
		grpc.WithDisableServiceConfig(), // which could switch retries on
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		// A server that is replaced comes back within seconds; by default the wait would grow to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 500 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: connectLimit,
		}),
		// A connection that a firewall has forgotten is found out; the server suffers this twice as often.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
	)
	if s.Dial != nil {
		options = append(options, grpc.WithContextDialer(s.Dial))
	}
	// passthrough leaves the name to the proxy, if there is one: this machine may be unable to look it up.
	return grpc.NewClient("passthrough:///"+s.address, options...)
}

// dialWeb returns a connection that is never made: the interceptors carry out every call as an HTTP request.
func (s *Settings) dialWeb() (*grpc.ClientConn, error) {
	web, err := newWeb(s)
	if err != nil {
		return nil, err
	}
	options := append(s.callOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(web.unary), grpc.WithChainStreamInterceptor(web.stream))
	return grpc.NewClient("passthrough:///"+s.address, options...)
}

// callOptions add the token and the headers to every call.
func (s *Settings) callOptions() []grpc.DialOption {
	pairs := []string{"token", s.token}
	for _, h := range s.headers {
		pairs = append(pairs, h.name, h.value)
	}
	return []grpc.DialOption{
		grpc.WithUserAgent(s.UserAgent),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
			invoke grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, pairs...), method, req, reply, conn, options...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
			open grpc.Streamer, options ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return open(metadata.AppendToOutgoingContext(ctx, pairs...), desc, conn, method, options...)
		}),
	}
}

// systemCertificates is empty where the system has none, as in an image from scratch.
func systemCertificates() *x509.CertPool {
	if pool, err := x509.SystemCertPool(); err == nil {
		return pool
	}
	return x509.NewCertPool()
}
