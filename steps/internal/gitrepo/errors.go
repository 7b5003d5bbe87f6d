package gitrepo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

// ErrDiverged says that the branch was no longer at the commit the change was built on: somebody else was faster, and
// nothing was written. It is transient, the next attempt reads the new tip.
var ErrDiverged = errors.New("remote branch diverged")

// ErrUncertain says that a push was sent and its answer was lost: the commit may have been published or not. It is
// transient, and the next attempt must look for the commit before it builds another one.
var ErrUncertain = errors.New("the answer to the push was lost")

// errNotGit says that what came back is not Git's protocol, such as a login page.
var errNotGit = errors.New("the answer is not Git's protocol")

// errFilter says that the server refused to leave objects out.
var errFilter = errors.New("the server has no partial fetch")

// ServerError is a message with which a Git server ended a conversation.
type ServerError struct{ Message string }

func (e *ServerError) Error() string { return "the server said: " + e.Message }

// StatusError is an HTTP answer other than 200.
type StatusError struct {
	Status     int
	Message    string // what could be read of the body, shortened, without markup
	RetryAfter time.Duration
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("HTTP status %d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// PushError is a refusal of a push by the server, with everything it had to say.
type PushError struct {
	Status   string // the status of the ref, as "pre-receive hook declined"
	Messages string // what hooks and the forge said
}

func (e *PushError) Error() string {
	if e.Messages == "" {
		return e.Status
	}
	return e.Status + "; the server said: " + strings.Join(strings.Fields(e.Messages), " ")
}

const (
	hintCredentials = "set SLIPWAY_GIT_USERNAME and SLIPWAY_GIT_PASSWORD, or SLIPWAY_GIT_TOKEN, to an account that may push to the repository" //nolint:gosec // names of variables
	hintURL         = "check the URL; behind a login page or a proxy, check that this machine may reach the server directly"
	hintCA          = "name the certificate of the authority that signed the server's with --ca-file"
)

// classify wraps an error of the transport or the protocol with the kind, the mark and the hint it deserves. Marked
// errors pass through.
func classify(what string, err error) error {
	var classified *failure.Error
	if err == nil || errors.As(err, &classified) || retry.IsTransient(err) {
		return err
	}
	wrapped := fmt.Errorf("%s: %w", what, err)
	var status *StatusError
	var server *ServerError
	switch {
	case errors.Is(err, context.Canceled):
		return wrapped
	case errors.As(err, &status):
		return classifyStatus(status, wrapped)
	case errors.As(err, &server):
		return classifyServer(server.Message, wrapped)
	case isTrust(err):
		return &failure.Error{Kind: failure.Denied, Hint: hintCA, Err: wrapped}
	case errors.Is(err, errNotGit):
		return &failure.Error{Kind: failure.Usage, Hint: hintURL, Err: wrapped}
	case isNetwork(err):
		return retry.Transient(wrapped)
	}
	return wrapped
}

func classifyStatus(status *StatusError, err error) error {
	switch {
	case status.Status == http.StatusUnauthorized:
		return &failure.Error{Kind: failure.Denied, Hint: hintCredentials, Err: err}
	case status.Status == http.StatusForbidden:
		return &failure.Error{Kind: failure.Denied, Hint: "give the account access to the repository; to push it needs the right to write", Err: err}
	case status.Status == http.StatusProxyAuthRequired:
		return &failure.Error{Kind: failure.Denied, Hint: "put the proxy's credentials into HTTPS_PROXY, or the server into NO_PROXY", Err: err}
	case status.Status == http.StatusNotFound:
		hint := "check the URL; a forge also answers 404 when the credentials may not see the repository"
		return &failure.Error{Kind: failure.Usage, Hint: hint, Err: err}
	case status.Status == http.StatusTooManyRequests, status.Status == http.StatusRequestTimeout, status.Status >= 500:
		return retry.TransientAfter(err, status.RetryAfter)
	}
	return &failure.Error{Kind: failure.Usage, Hint: hintURL, Err: err}
}

// Wordings of forges and their proxies that mean "try again" in a place where Git itself knows only one kind of error.
var passing = regexp.MustCompile(`(?i)gitaly|internal api (unreachable|error)|temporarily|try again|timed? ?out|unavailable|too many|no space left|index\.lock|hung up`)

func classifyServer(message string, err error) error {
	lower := strings.ToLower(message)
	switch {
	case strings.Contains(lower, "not our ref"):
		// Usual cause: the branch was rewritten, or a replica lags behind, between two requests of one attempt.
		return retry.Transient(err)
	case passing.MatchString(message):
		return retry.Transient(err)
	case containsAny(lower, "permission", "denied", "not allowed", "authentication", "access"):
		return &failure.Error{Kind: failure.Denied, Hint: hintCredentials, Err: err}
	case containsAny(lower, "not found", "does not exist", "does not appear to be a git repository"):
		return &failure.Error{Kind: failure.Usage, Hint: hintURL, Err: err}
	}
	return err
}

// Wordings for a lost race: stock Git at the ref lock, its pre-check, and what GitLab and Gitaly say in its stead.
var lostRace = []string{
	"non-fast-forward", "fetch first", "failed to update ref", "incorrect old value", "cannot lock ref",
	"reference already exists", "failed to lock", "reference mismatch", "stale info", "remote ref updated",
}

// classifyPush tells the reasons for which a server refuses a ref from each other. Only the wording distinguishes them.
func classifyPush(what string, push *PushError) error {
	err := fmt.Errorf("%s: %w", what, push)
	text := strings.ToLower(push.Status + "\n" + push.Messages)
	status := strings.ToLower(push.Status)
	hook := strings.Contains(status, "hook declined")
	switch {
	case !hook && containsAny(text, lostRace...):
		return retry.Transient(fmt.Errorf("%s: %w (%s)", what, ErrDiverged, push.Status))
	case containsAny(text, "protected branch", "gh006", "gh013", "not allowed to push", "not allowed to force push", "not permitted to push"):
		hint := "the branch is protected: let the account push to it, or publish to another branch"
		return &failure.Error{Kind: failure.Denied, Hint: hint, Err: err}
	case hook && passing.MatchString(push.Messages):
		// GitLab runs its own checks as a pre-receive hook, which "declines" when its back end cannot be reached.
		return retry.Transient(err)
	case hook, containsAny(status, "declined", "deny", "denied", "prohibited", "refusing", "hidden ref"):
		hint := "a rule of the repository refused the commit: change the commit or the rule; trying again cannot help"
		return &failure.Error{Kind: failure.Conflict, Hint: hint, Err: err}
	case passing.MatchString(text), strings.Contains(status, "internal server error"):
		return retry.Transient(err)
	}
	return err
}

func isTrust(err error) bool {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
	)
	return errors.As(err, &unknown) || errors.As(err, &hostname) || errors.As(err, &invalid) || errors.As(err, &verify)
}

func isNetwork(err error) bool {
	var (
		op     *net.OpError
		dns    *net.DNSError
		netErr net.Error
		urlErr *url.Error
	)
	if errors.As(err, &op) || errors.As(err, &dns) || errors.Is(err, errIdle) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	if errors.As(err, &netErr) && netErr.Timeout() {
		return true
	}
	// What is left of the HTTP client's own errors are broken connections, such as "server closed idle connection" and
	// resets within HTTP/2.
	return errors.As(err, &urlErr)
}

func damaged(url string, h Hash, err error) error {
	return fmt.Errorf("%s: object %s is missing from what the server sent: %w", url, h, err)
}

var (
	markup = regexp.MustCompile(`(?s)<(script|style)\b.*?</(script|style)>|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// readable makes the body of an error page fit into one line of an error message.
func readable(body []byte) string {
	text := strings.TrimSpace(spaces.ReplaceAllString(markup.ReplaceAllString(string(body), " "), " "))
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return text
}

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

func containsAny(s string, subs ...string) bool {
	for _, sub := range subs {
		if strings.Contains(s, sub) {
			return true
		}
	}
	return false
}
