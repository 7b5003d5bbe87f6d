package gitrepotest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
)

// A repository whose configuration was rewritten by git is left to git http-backend, and must not be served in other words.
func TestAnswersAreThoseOfHTTPBackend(t *testing.T) {
	server := serve(t, gitrepotest.Options{})
	const lsRefs = "0014command=ls-refs\n00010009peel\n0000"
	requests := []struct{ method, path, body, contentType, protocol string }{
		{method: "GET", path: "/info/refs?service=git-upload-pack"},
		{method: "GET", path: "/info/refs?service=git-upload-pack", protocol: "version=1"},
		{method: "GET", path: "/info/refs?service=git-upload-pack", protocol: "version=2"},
		{method: "GET", path: "/info/refs?service=git-receive-pack"},
		{method: "GET", path: "/info/refs?service=git-receive-pack", protocol: "version=2"},
		{method: "GET", path: "/info/refs?service=git-nothing"},
		{method: "GET", path: "/info/refs"},
		{method: "GET", path: "/HEAD"},
		{method: "POST", path: "/git-upload-pack", body: lsRefs, contentType: "application/x-git-upload-pack-request", protocol: "version=2"},
		{method: "POST", path: "/git-upload-pack", body: "nonsense", contentType: "application/x-git-upload-pack-request"},
		{method: "POST", path: "/git-receive-pack", body: "0000", contentType: "application/x-git-receive-pack-request"},
		{method: "POST", path: "/git-receive-pack", body: "0000", contentType: "text/plain"},
		{method: "POST", path: "/git-nothing", body: "0000"},
		{method: "PUT", path: "/git-upload-pack", body: lsRefs, contentType: "application/x-git-upload-pack-request"},
	}
	answers := func() []string {
		var all []string
		for _, r := range requests {
			request, err := http.NewRequestWithContext(t.Context(), r.method, server.URL("repo")+r.path, strings.NewReader(r.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", r.contentType)
			request.Header.Set("Git-Protocol", r.protocol)
			reply, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(reply.Body)
			_ = reply.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			reply.Header.Del("Date")
			all = append(all, fmt.Sprintf("%s %s %s: %d %v\n%s", r.method, r.path, r.protocol, reply.StatusCode, reply.Header, body))
		}
		return all
	}
	direct := answers()
	// The same setting, in other bytes than those of CreateRepo.
	if _, err := server.Git("repo", "config", "http.receivepack", "yes"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answers(), direct); diff != "" {
		t.Errorf("(-git http-backend +this server):\n%s", diff)
	}
}
