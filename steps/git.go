package steps

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

// gitOptions say how a step reaches the GitOps repository. Credentials come from the environment only.
type gitOptions struct {
	repo, branch, username string
	bearer                 bool
	caFile                 string
	sshKeyFile             string
	sshKnownHosts          []string
	sshAcceptNew           bool
	idleTimeout            time.Duration
}

func (g *gitOptions) flags(repoUsage, branchDefault string) []cli.Flag {
	return []cli.Flag{
		stringFlag(&g.repo, "repo", "", repoUsage, category(categoryGit)),
		stringFlag(&g.branch, "branch", branchDefault, "the branch to work on", category(categoryGit)),
		stringFlag(&g.username, "git-username", "", "the user for HTTP(S); the password or token comes from the environment", env("GIT_USERNAME"), category(categoryGit)),
		boolFlag(&g.bearer, "git-bearer", "send the token as a bearer token instead of as a password", category(categoryGit)),
		stringFlag(&g.caFile, "ca-file", "", "a PEM file with certificates to trust besides the system's", category(categoryGit)),
		stringFlag(&g.sshKeyFile, "ssh-key-file", "", "the private key for SSH; without it the agent's keys and the usual files are tried", category(categoryGit)),
		stringSliceFlag(&g.sshKnownHosts, "ssh-known-hosts", "a file with host keys, instead of ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts", category(categoryGit)),
		boolFlag(&g.sshAcceptNew, "ssh-accept-new", "trust an SSH server that no known_hosts file names", category(categoryGit)),
		durationFlag(&g.idleTimeout, "git-idle-timeout", time.Minute, "end a request during which the server says nothing for so long", category(categoryGit)),
	}
}

// open prepares the repository for use. origin is the address that a checkout has, which may hold credentials; --repo
// wins over it.
func (g *gitOptions) open(e *Env, origin string) (*gitrepo.Remote, error) {
	address, auth, err := g.address(e, origin)
	if err != nil {
		return nil, err
	}
	passphrase, err := e.Secret("SLIPWAY_SSH_KEY_PASSPHRASE")
	if err != nil {
		return nil, err
	}
	agent, _ := e.LookupEnv("SSH_AUTH_SOCK")
	return gitrepo.Open(address, gitrepo.Options{
		Auth: auth, CAFile: g.caFile, UserAgent: programName + "/" + buildVersion(), IdleTimeout: g.idleTimeout,
		Notice: func(message string) { e.Log.Info(message) },
		SSH: gitrepo.SSHOptions{
			KeyFile: g.sshKeyFile, Passphrase: passphrase, KnownHosts: g.sshKnownHosts, AcceptNew: g.sshAcceptNew, AgentSocket: agent,
		},
	})
}

func (g *gitOptions) address(e *Env, origin string) (string, gitrepo.Auth, error) {
	auth := gitrepo.Auth{Username: g.username, Bearer: g.bearer}
	var err error
	if auth.Token, err = e.Secret("SLIPWAY_GIT_TOKEN"); err != nil {
		return "", auth, err
	}
	if auth.Password, err = e.Secret("SLIPWAY_GIT_PASSWORD", "GIT_PASSWORD"); err != nil {
		return "", auth, err
	}
	if g.repo != "" {
		return g.repo, auth, nil
	}
	if origin == "" {
		return "", auth, failure.New(failure.Usage, "name the repository with --repo", "the checkout has no remote named origin")
	}
	u, err := url.Parse(origin)
	if err != nil || u.User == nil || u.Scheme != "http" && u.Scheme != "https" {
		return origin, auth, nil
	}
	// Credentials that git wrote into the address serve if there are no others. They go no further than the request.
	password, _ := u.User.Password()
	e.Redact.Add(password)
	if auth.Token == "" && auth.Password == "" {
		auth.Username, auth.Password = u.User.Username(), password
		if password == "" {
			e.Redact.Add(auth.Username) // a user without a password is a token
		}
	}
	u.User = nil
	return u.String(), auth, nil
}

// identity is who commits.
type identity struct {
	authorName, authorEmail       string
	committerName, committerEmail string
	signingKey                    string
}

func (i *identity) flags() []cli.Flag {
	return []cli.Flag{
		stringFlag(&i.authorName, "author-name", "slipway", "the author of the commit", env("GIT_AUTHOR_NAME"), category(categoryCommit)),
		stringFlag(&i.authorEmail, "author-email", "slipway@localhost", "the author's address", env("GIT_AUTHOR_EMAIL"), category(categoryCommit)),
		stringFlag(&i.committerName, "committer-name", "", "the committer; the author by default", env("GIT_COMMITTER_NAME"), category(categoryCommit)),
		stringFlag(&i.committerEmail, "committer-email", "", "the committer's address; the author's by default", env("GIT_COMMITTER_EMAIL"), category(categoryCommit)),
		stringFlag(&i.signingKey, "signing-key-file", "", "sign the commit with this OpenPGP or SSH private key", category(categoryCommit)),
	}
}

func (i *identity) spec(e *Env, message string) (gitrepo.CommitSpec, error) {
	for _, s := range []string{i.authorName, i.authorEmail, i.committerName, i.committerEmail} {
		if strings.ContainsAny(s, "<>\n\x00") {
			return gitrepo.CommitSpec{}, failure.New(failure.Usage, "names and addresses are given without < and >", "the identity %q cannot stand in a commit", s)
		}
	}
	now := time.Now()
	author := gitrepo.Signature{Name: e.Redact.String(i.authorName), Email: e.Redact.String(i.authorEmail), When: now}
	committer := author
	if i.committerName != "" {
		committer.Name = e.Redact.String(i.committerName)
	}
	if i.committerEmail != "" {
		committer.Email = e.Redact.String(i.committerEmail)
	}
	spec := gitrepo.CommitSpec{Author: author, Committer: committer, Message: message}
	if i.signingKey == "" {
		return spec, nil
	}
	passphrase, err := e.Secret("SLIPWAY_SIGNING_KEY_PASSPHRASE")
	if err != nil {
		return spec, err
	}
	spec.Signer, err = gitrepo.NewSigner(i.signingKey, passphrase)
	return spec, err
}

// build is what is known of the build that runs a step.
type build struct {
	job, url, source string
	order            int64
}

func (b *build) flags() []cli.Flag {
	return []cli.Flag{
		stringFlag(&b.job, "job", "", "the job that releases; builds of one job supersede each other by --order", env("JOB_NAME"), category(categoryRelease)),
		int64Flag(&b.order, "order", 0, "the place of this build among those of its job, higher is newer", env("BUILD_NUMBER"), category(categoryRelease)),
		stringFlag(&b.url, "build-url", "", "where the build can be looked at", env("BUILD_URL"), category(categoryRelease)),
		stringFlag(&b.source, "source-commit", "", "the commit of the sources that the image was built from", env("GIT_COMMIT"), category(categoryRelease)),
	}
}

// releaseID names the release so that the same step of the same build has the same name wherever it runs: what a killed
// run has published is found by it. Without a build to go by, the commit that the change was made on tells two equal
// changes apart.
func (b *build) releaseID(branch string, base gitrepo.Hash, changes []gitrepo.Change) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", branch)
	for _, change := range changes {
		to := gitrepo.Hash{}
		if change.To != nil {
			to = change.To.Hash()
		}
		fmt.Fprintf(sum, "%s %s\n", to, change.Path)
	}
	if b.job != "" && b.order > 0 {
		return fmt.Sprintf("%s#%d-%x", strings.Join(strings.Fields(b.job), "-"), b.order, sum.Sum(nil)[:4])
	}
	fmt.Fprintf(sum, "%s\n", base)
	return fmt.Sprintf("%x", sum.Sum(nil)[:8])
}

// openCheckout opens --dir, and says how a path relative to it reads from the root of the repository.
func openCheckout(dir string) (gitrepo.Checkout, func(string) (string, error), error) {
	c, err := gitrepo.OpenCheckout(dir)
	if err != nil {
		if failure.KindOf(err) == failure.Failure {
			err = &failure.Error{Kind: failure.Usage, Hint: "name a checkout with --dir, or make one with slipway checkout", Err: err}
		}
		return nil, nil, err
	}
	if o, ok := c.(*gitrepo.Overlay); ok {
		o.Refer = referred
	}
	return c, func(p string) (string, error) { return repoPath(c.Root(), dir, p) }, nil
}
