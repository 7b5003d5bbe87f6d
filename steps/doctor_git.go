package steps

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"slipway/steps/internal/gitrepo"
)

const (
	// probedApproval is no approval and never will be.
	probedApproval = "refs/slipway/approvals/doctor"
	// tolerableSkew is what clocks that are set by themselves differ by at most.
	tolerableSkew = time.Minute

	hintSkew = "let this machine and the server set their clocks by NTP"
)

// checkGit goes on for as long as there is something to ask.
func (c *checkup) checkGit(ctx context.Context) {
	if c.git.repo == "" {
		c.skip("--repo was not given", "repository")
		return
	}
	remote, err := c.git.open(c.env, "")
	partial := false
	if err == nil {
		c.remote = remote
		partial, err = remote.PartialFetch(ctx)
	}
	if err != nil {
		c.fail("repository", err)
		c.skip("it needs the repository", "branch", "partial-fetch", "push", "protection", "approvals", "path", "git-clock")
		return
	}
	c.ok("repository", "%s, reached over %s", remote.URL(), protocolOf(remote.URL()))
	c.checkTip(ctx, partial)
	server, local := remote.ServerTime()
	if server.IsZero() {
		c.skip("the protocol does not tell the server's time", "git-clock")
		return
	}
	c.checkSkew("git-clock", server, local)
}

// protocolOf tells SSH in its short form, too.
func protocolOf(repo string) string {
	if u, err := url.Parse(repo); err == nil && u.Host != "" {
		return u.Scheme
	}
	return "ssh"
}

func (c *checkup) checkTip(ctx context.Context, partial bool) {
	tip, err := c.remote.Tip(ctx, c.git.branch)
	if err != nil {
		c.fail("branch", err)
	} else {
		c.ok("branch", "%s is at %s", c.git.branch, short(tip.String()))
	}
	if partial {
		c.ok("partial-fetch", "the server sends directories one by one")
	} else {
		c.warn("partial-fetch", "allow it on the server: uploadpack.allowFilter, and over SSH uploadpack.allowReachableSHA1InWant",
			"the server has none: each step fetches all files of the tip")
	}
	if err != nil {
		c.skip("it needs the branch", "push", "protection", "approvals", "path")
		return
	}
	c.checkPush(ctx, tip)
	c.checkPath(ctx, tip)
}

// checkPush asks for updates that the server must refuse at last, after everything that could refuse a release.
func (c *checkup) checkPush(ctx context.Context, tip gitrepo.Hash) {
	commit, err := c.remote.Commit(ctx, tip)
	if err != nil {
		c.fail("push", err)
		c.skip("it needs the right to push", "protection", "approvals")
		return
	}
	// A branch of one commit is asked for as if it were to be created, which it cannot be any more. A ref that is not there
	// must not be: there an old value, even that of the new one, is what keeps it from being made.
	from, absent := gitrepo.Hash{}, tip
	if len(commit.Parents) > 0 {
		from, absent = commit.Parents[0], commit.Parents[0]
	}
	err = c.remote.ProbePush(ctx, "refs/heads/"+c.git.branch, from, tip)
	refused := (*gitrepo.PushError)(nil)
	if err != nil && !errors.As(err, &refused) {
		c.fail("push", err)
		c.skip("it needs the right to push", "protection", "approvals")
		return
	}
	c.ok("push", "the server takes pushes with these credentials")
	if err != nil {
		c.fail("protection", err)
	} else {
		c.ok("protection", "nothing keeps pushes from %s", c.git.branch)
	}
	err = c.remote.ProbePush(ctx, probedApproval, absent, tip)
	switch {
	case err == nil:
		c.ok("approvals", "the server takes refs below refs/slipway")
	case errors.As(err, &refused):
		c.warn("approvals", "let the account push to the branch slipway/approvals, which serves instead", "%s", err)
	default:
		c.fail("approvals", err)
	}
}

// checkSkew warns of a clock that will one day reject a token or hide a commit.
func (c *checkup) checkSkew(name string, server, local time.Time) {
	if server.Sub(local).Abs() > tolerableSkew {
		c.warn(name, hintSkew, "%s", skewText(server, local))
	} else {
		c.ok(name, "the server's clock agrees with this machine's")
	}
}

func skewText(server, local time.Time) string {
	skew := server.Sub(local).Round(time.Second)
	if skew < 0 {
		return fmt.Sprintf("the server's clock is %s behind this machine's", -skew)
	}
	return fmt.Sprintf("the server's clock is %s ahead of this machine's", skew)
}
