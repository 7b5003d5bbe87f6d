package argocd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

// Refusals to which a release has an answer of its own. They are matched by errors.Is.
var (
	// ErrInProgress says that another operation is running.
	ErrInProgress = errors.New("another operation is in progress")
	// ErrAutomated says that an application that syncs by itself takes no revision from outside.
	ErrAutomated = errors.New("the application syncs by itself and takes no revision")
	// ErrOverride says that the account may not sync to a revision, as a setting of v3 demands a right of its own for that.
	ErrOverride = errors.New("the right override is missing")
	// ErrWindow says that a sync window forbids the sync now.
	ErrWindow = errors.New("a sync window forbids it")
	// ErrUnresolved says that the server could not look the revision up in Git, which may pass.
	ErrUnresolved = errors.New("the server cannot look the revision up")
	// ErrUnauthenticated says that the token was not accepted, which a server that is starting may say in error.
	ErrUnauthenticated = errors.New("the token is not accepted")
	// ErrIdle says that there is no operation to terminate.
	ErrIdle = errors.New("no operation is in progress")
)

const (
	hintCA       = "name the certificate of the authority that signed the server's with --argocd-ca-file"
	hintClock    = "compare the clock of this machine and of the one that made the token with the server's"
	hintGRPC     = "check the address; behind an ingress try --argocd-grpc-web, below a path --argocd-grpc-web-root-path"
	hintPlain    = "the server does not speak TLS: use --argocd-plaintext, or the address of the ingress"
	hintTLS      = "the server speaks TLS: leave --argocd-plaintext out"
	hintRights   = "grant the account get and sync on the application; without --project an application that does not exist looks like this, too"
	hintName     = "check the application's name, its namespace (NS/NAME) and --project"
	hintWindow   = "run it again when the window is open, or wait for that with --wait-for-window"
	hintOverride = "grant the account override, or take the setting back that demands it for syncing to a revision"
)

// APIError is an answer of the server, or what stands for it when there was none.
type APIError struct {
	Code    codes.Code
	Message string
}

func (e *APIError) Error() string {
	if e.Code == codes.Unknown {
		return e.Message
	}
	return e.Message + " (" + e.Code.String() + ")"
}

// classify gives an error of a call its kind, its hint and its mark. The code alone says too little: the server uses
// FailedPrecondition and PermissionDenied for what passes and for what does not, and Unknown for nearly everything else.
func classify(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	said := status.Convert(err)
	api := &APIError{Code: said.Code(), Message: strings.TrimSpace(said.Message())}
	wrapped := fmt.Errorf("%s: %w", what, api)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		// Of the call's own time mostly; whose deadline is over knows it.
		return retry.Transient(fmt.Errorf("%s: no answer in time: %w", what, ctx.Err()))
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", wrapped, ctx.Err())
	}
	return classifyAnswer(api, wrapped)
}

func classifyAnswer(api *APIError, wrapped error) error {
	if kind, hint, found := transportTrouble(api); found {
		return &failure.Error{Kind: kind, Hint: hint, Err: wrapped}
	}
	if code, found := httpStatusOf(api.Message); found {
		return classifyHTTP(code, wrapped)
	}
	if strings.Contains(api.Message, "unexpected content-type") {
		return &failure.Error{Kind: failure.Usage, Hint: hintGRPC, Err: wrapped} // a page, such as that of a login
	}
	return classifyCode(api, wrapped)
}

// transportTrouble is known by its text only: gRPC makes Unavailable of all of it.
func transportTrouble(api *APIError) (kind failure.Kind, hint string, found bool) {
	text := api.Message
	switch {
	case isTrust(text):
		return failure.Denied, hintCA, true
	case containsAny(text, "certificate required", "bad certificate", "unknown certificate"):
		return failure.Denied, "name a client certificate that the server accepts: --client-crt and --client-crt-key in ARGOCD_OPTS", true
	case containsAny(text, "first record does not look like a TLS handshake", "server gave HTTP response to HTTPS client"):
		return failure.Usage, hintPlain, true
	case containsAny(text, "missing selected ALPN property"):
		return failure.Usage, hintGRPC, true
	case containsAny(text, "malformed HTTP response", "frame too large", "HTTP_1_1_REQUIRED"):
		return failure.Usage, hintTLS, true
	case containsAny(text, "Proxy Authentication Required"):
		return failure.Denied, "put the proxy's credentials into HTTPS_PROXY, or the server into NO_PROXY", true
	}
	return "", "", false
}

func isTrust(text string) bool { return strings.Contains(text, "x509:") }

// The wordings of grpc-go, of gRPC-web here, and of the SDK's own gRPC-web, which a server in between may pass on.
var httpStatusText = regexp.MustCompile(`(?:HTTP status(?: code received from server:)?|failed with status code) (\d{3})\b`)

func httpStatusOf(text string) (code int, found bool) {
	match := httpStatusText.FindStringSubmatch(text)
	if match == nil {
		return 0, false
	}
	code, err := strconv.Atoi(match[1])
	return code, err == nil
}

// classifyHTTP is for the answers of proxies, and of servers that are something else.
func classifyHTTP(code int, err error) error {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retry.Transient(err)
	case http.StatusUnauthorized, http.StatusForbidden:
		return &failure.Error{Kind: failure.Denied, Hint: "a proxy in front of the server refuses the request: headers for it go into ARGOCD_OPTS", Err: err}
	case http.StatusProxyAuthRequired:
		return &failure.Error{Kind: failure.Denied, Hint: "put the proxy's credentials into HTTPS_PROXY, or the server into NO_PROXY", Err: err}
	}
	return &failure.Error{Kind: failure.Usage, Hint: hintGRPC, Err: err}
}

// Wordings that pass although their code does not say so.
var passing = map[codes.Code][]string{
	codes.Internal: {"RST_STREAM", "stream terminated", "Too many conflicts", "EOF", "connection reset"},
	codes.Unknown: {
		"unexpected EOF", "application refresh deadline exceeded", "context deadline exceeded", "connection refused", "connection reset",
		"i/o timeout", "error updating application", "the object has been modified", "etcdserver",
	},
}

// Wordings of a controller that was started and works before it has read the projects.
var starting = regexp.MustCompile(`project \S+ which does not exist|appprojects?\.argoproj\.io "[^"]*" not found`)

// Wordings of Git in the repo server, which are those of curl and of ssh, where the network or the Git server fails it, and of a
// program there that took too long. The code of all of them is Internal.
var gitPassing = regexp.MustCompile(`(?i)connection (?:reset|refused|timed out|closed by remote)|operation timed out|` +
	`could(?: not|n't) (?:connect|resolve host)|empty reply from server|early EOF|remote end hung up|` +
	`(?:requested URL returned error:|RPC failed; HTTP) (?:408|429|500|502|503|504)\b|failed timeout after`)

// Wordings of an operation's end that last although the table has them for calls.
var lasting = []string{
	"Manifest generation error (cached)", // nothing is generated again for an hour
	"parse error at",                     // a template with an "unexpected EOF"
	"message larger than max",
}

// passes says, by its message, whether an operation that the controller could not do may be done when it is started again. It
// is for operations whose application the server has accepted: that the project is missing passes for these only.
func passes(message string) bool {
	if containsAny(message, lasting...) {
		return false
	}
	api := &APIError{Code: codeIn(message), Message: message}
	return starting.MatchString(message) || retry.IsTransient(classifyAnswer(api, api)) || !isTrust(message) && gitPassing.MatchString(message)
}

var codeText = regexp.MustCompile(`rpc error: code = (\w+) desc = `)

// codeIn returns the code of the innermost call that the message tells of, which is that of the cause.
func codeIn(message string) codes.Code {
	calls := codeText.FindAllStringSubmatch(message, -1)
	for code := codes.Canceled; len(calls) > 0 && code <= codes.Unauthenticated; code++ {
		if code.String() == calls[len(calls)-1][1] {
			return code
		}
	}
	return codes.Unknown
}

func classifyCode(api *APIError, err error) error {
	switch api.Code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded, codes.Canceled:
		return retry.Transient(err)
	case codes.Internal, codes.Unknown:
		if containsAny(api.Message, passing[api.Code]...) {
			return retry.Transient(err)
		}
		return err
	case codes.FailedPrecondition:
		return classifyPrecondition(api, err)
	case codes.PermissionDenied:
		return classifyPermission(api, err)
	case codes.Unauthenticated:
		return &failure.Error{Kind: failure.Denied, Hint: hintFor(api.Message), Err: join(err, ErrUnauthenticated)}
	case codes.NotFound:
		return &failure.Error{Kind: failure.Usage, Hint: hintName, Err: err}
	case codes.InvalidArgument:
		if strings.Contains(api.Message, "No operation is in progress") {
			return join(err, ErrIdle)
		}
		return &failure.Error{Kind: failure.Usage, Hint: hintName, Err: err}
	case codes.Unimplemented:
		return &failure.Error{Kind: failure.Usage, Hint: hintGRPC, Err: err}
	default:
		return err
	}
}

func classifyPrecondition(api *APIError, err error) error {
	switch {
	case strings.Contains(api.Message, "another operation is already in progress"):
		return retry.Transient(join(err, ErrInProgress))
	case containsAny(api.Message, "Cannot sync to", "Cannot sync source"):
		return &failure.Error{Kind: failure.Conflict, Hint: "let the application follow the branch that is released to", Err: join(err, ErrAutomated)}
	case containsAny(api.Message, "error resolving repo revision", "error getting repository"):
		return retry.Transient(join(err, ErrUnresolved))
	}
	return &failure.Error{Kind: failure.Conflict, Err: err}
}

func classifyPermission(api *APIError, err error) error {
	switch {
	case strings.Contains(api.Message, "blocked by sync window"):
		return &failure.Error{Kind: failure.Conflict, Hint: hintWindow, Err: join(err, ErrWindow)}
	case strings.Contains(api.Message, "invalid sync window"):
		return &failure.Error{Kind: failure.Conflict, Hint: "correct the sync windows of the project", Err: err}
	case strings.Contains(api.Message, ", override, "):
		return &failure.Error{Kind: failure.Denied, Hint: hintOverride, Err: join(err, ErrOverride)}
	}
	return &failure.Error{Kind: failure.Denied, Hint: hintRights, Err: err}
}

// hintFor tells a clock that is wrong from a token that is.
func hintFor(message string) string {
	if containsAny(message, "not valid yet", "used before issued") {
		return hintClock
	}
	return hintToken
}

func refusedToken(address string) error {
	return &failure.Error{
		Kind: failure.Denied, Hint: hintToken + "; the token may also be that of another server",
		Err: fmt.Errorf("Argo CD at %s: %w", address, ErrUnauthenticated), //nolint:staticcheck // a proper name
	}
}

func isRefusedToken(err error) bool { return errors.Is(err, ErrUnauthenticated) }

// join adds a sentinel without changing what the error says.
func join(err, sentinel error) error { return &marked{err, sentinel} }

type marked struct{ err, sentinel error }

func (m *marked) Error() string { return m.err.Error() }

func (m *marked) Unwrap() []error { return []error{m.err, m.sentinel} }

func containsAny(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
