package argocdtest

import (
	"net"
	"time"
)

// Options say what kind of server is started. The zero value is plaintext on loopback, version 2.14, where everything
// becomes healthy at once.
type Options struct {
	// Version is what the server says of itself and decides between the behaviours of v2 and v3; v2.14.21 if empty.
	Version string
	// TLS serves with the certificate whose CA is CAFile, valid for 127.0.0.1 and *.example.com.
	TLS bool
	// RootPath serves below a path, such as argo-cd, as behind an ingress that hands on nothing else: gRPC, which has paths
	// of its own, is answered 404, and only gRPC-web is left.
	RootPath string
	// Front is what stands between the client and the server.
	Front Front
	// Listener, where set, is served instead of a new one on loopback, such as a bufconn.Listener within a synctest bubble.
	Listener net.Listener
	// Namespace is where applications live that name no other, argocd if empty.
	Namespace string
	// Policy is the policy.csv of argocd-rbac-cm, besides the built-in one, by which the account admin may do everything.
	Policy string
	// EnforceLogs demands the right logs, get for pod logs, as v3 always does.
	EnforceLogs bool
	// OverrideForRevision is application.sync.requireOverridePrivilegeForRevisionSync of v3.
	OverrideForRevision bool
	// Skew is how far the server's clock is ahead.
	Skew time.Duration
	// ProgressingFor is how long a changed workload is Progressing before it is Healthy, unless Server.Rollout says otherwise.
	ProgressingFor time.Duration
	// OperationFor is how long an operation is Running before the first resource is applied.
	OperationFor time.Duration
	// RefreshFor is how long a comparison with Git takes.
	RefreshFor time.Duration
	// GitEnv is environment for git, besides that of the process: credentials, a CA, or other addresses by url.*.insteadOf.
	GitEnv []string
	// Resync is how often applications are compared with Git unasked, 3 minutes if zero.
	Resync time.Duration
	// DeletionFor is how long a hook that its policy deletes can still be found with its logs, 1 second if zero.
	DeletionFor time.Duration
}

// Front is what stands between the client and the server.
type Front int

// The fronts.
const (
	// FrontNone lets the client reach the server itself.
	FrontNone Front = iota
	// FrontHTTP1 is a proxy that speaks HTTP/1.1 only: gRPC does not pass, gRPC-web does.
	FrontHTTP1
	// FrontNoGRPC is a proxy that speaks HTTP/2 to the client and HTTP/1.1 to the server: it answers gRPC with a page of its
	// own, 502, and lets gRPC-web pass.
	FrontNoGRPC
	// FrontBlackHole accepts connections and never answers.
	FrontBlackHole
)

func (o Options) withDefaults() Options {
	if o.Version == "" {
		o.Version = "v2.14.21"
	}
	if o.Namespace == "" {
		o.Namespace = "argocd"
	}
	if o.Resync == 0 {
		o.Resync = 3 * time.Minute
	}
	if o.DeletionFor == 0 {
		o.DeletionFor = time.Second
	}
	return o
}
