// Package gitrepo reads and changes one remote Git repository without a clone: a branch is a value that is read lazily,
// built upon in memory and swapped for a new commit, never forced. It is the only package that imports go-git, and of
// go-git only the plumbing: the porcelain reports a lost race as "object not found", and its cost grows with the
// repository. Errors are classified (failure.Kind, retry.Transient) and nothing is tried again here.
package gitrepo

import (
	"context"
	"io/fs"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Hash is a Git object id (SHA-1). Its String is 40 hexadecimal digits; the zero value means "no object".
type Hash = plumbing.Hash

// Mode is the mode of a tree entry as Git stores it.
type Mode uint32

// The modes that Git knows.
const (
	ModeTree       = Mode(filemode.Dir)
	ModeRegular    = Mode(filemode.Regular)
	ModeExecutable = Mode(filemode.Executable)
	ModeSymlink    = Mode(filemode.Symlink)
	ModeSubmodule  = Mode(filemode.Submodule)
)

// File is a file of a commit: its mode and its bytes. For a symlink the bytes are the target, for a submodule the
// hexadecimal id of its commit.
type File struct {
	Mode Mode
	Data []byte
}

// Hash returns the object id that Git gives to the file's contents.
func (f *File) Hash() Hash {
	if f.Mode == ModeSubmodule {
		return plumbing.NewHash(string(f.Data))
	}
	return plumbing.ComputeHash(plumbing.BlobObject, f.Data)
}

// Change is what happens to one path: From is nil when the path is created, To is nil when it is deleted.
type Change struct {
	Path     string
	From, To *File
}

// Entry is one name in a directory of a commit.
type Entry struct {
	Name string
	Mode Mode
	Hash Hash
}

// Signature says who did something, and when.
type Signature struct {
	Name, Email string
	When        time.Time
}

func (s Signature) object() object.Signature {
	return object.Signature{Name: s.Name, Email: s.Email, When: s.When}
}

// Commit is a commit as it is stored.
type Commit struct {
	Hash      Hash
	Tree      Hash
	Parents   []Hash
	Author    Signature
	Committer Signature
	Message   string
}

func newCommit(c *object.Commit) Commit {
	return Commit{
		Hash: c.Hash, Tree: c.TreeHash, Parents: c.ParentHashes, Message: c.Message,
		Author:    Signature{Name: c.Author.Name, Email: c.Author.Email, When: c.Author.When},
		Committer: Signature{Name: c.Committer.Name, Email: c.Committer.Email, When: c.Committer.When},
	}
}

// ParseHash returns the id that 40 hexadecimal digits name; ok is false for anything else.
func ParseHash(s string) (h Hash, ok bool) {
	return plumbing.NewHash(s), len(s) == 40 && plumbing.IsHash(s)
}

// Options say how a repository is reached.
type Options struct {
	Auth Auth
	// CAFile names a PEM file with certificates that are trusted besides the system's; "" for the system's alone.
	CAFile string
	SSH    SSHOptions
	// Notice is told what a user may want to know about the way the repository is read; nil to drop it.
	Notice func(message string)
	// UserAgent identifies the client to the server, as "slipway/1.2.3".
	UserAgent string
	// IdleTimeout ends a request during which the server says nothing for so long; 0 means one minute.
	IdleTimeout time.Duration
}

// Auth holds the credentials for HTTP. With a Token and no Username the user is "oauth2", which GitLab, Gitea and GitHub
// accept with any kind of token. Bearer sends the token as a bearer token instead.
type Auth struct {
	Username, Password, Token string
	Bearer                    bool
}

// Remote is one remote repository: a transport, and the objects that were fetched from it so far. It is not safe for
// concurrent use. Every method may be called again after an error.
type Remote struct {
	url    string
	conn   connection
	store  *store
	trees  map[Hash]*object.Tree // directories that were parsed; a flat one may have thousands of entries
	notice func(string)

	upload   *uploadService
	noFilter bool // the server has no partial fetch; set once, on the first refusal
	noDeltas bool // the server could not resolve a delta against an object it has
	top      Hash // the commit whose uppermost directories (all of them, with noFilter) were fetched last

	walk walked
}

// walked is the last walk of commits that was fetched: from which tip, how many, and the commits whose parents the server
// left out.
type walked struct {
	tip   Hash
	limit int
	cut   map[Hash]bool
}

// Open prepares a remote repository for use; nothing is sent yet. The URL is http(s)://, ssh:// or user@host:path. A URL
// that carries a password is refused with failure.Usage, for it would end up in process lists and logs.
func Open(rawURL string, o Options) (*Remote, error) {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Minute
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	conn, err := dial(rawURL, o)
	if err != nil {
		return nil, err
	}
	return &Remote{
		url: withoutUser(rawURL), conn: conn, store: newStore(), trees: map[Hash]*object.Tree{}, notice: o.Notice,
	}, nil
}

// Close ends open connections. The Remote must not be used afterwards.
func (r *Remote) Close() error {
	r.dropUpload()
	return r.conn.close()
}

// URL returns the address the Remote was opened with; it carries no password.
func (r *Remote) URL() string { return r.url }

// Commit returns a commit, which is fetched when it is not at hand.
func (r *Remote) Commit(ctx context.Context, h Hash) (Commit, error) {
	c, err := r.commit(ctx, h)
	if err != nil {
		return Commit{}, err
	}
	return newCommit(c), nil
}

func (r *Remote) commit(ctx context.Context, h Hash) (*object.Commit, error) {
	c, err := object.GetCommit(r.store, h)
	if err != nil {
		if err := r.fetchTop(ctx, h); err != nil {
			return nil, err
		}
		if c, err = object.GetCommit(r.store, h); err != nil {
			return nil, damaged(r.url, h, err)
		}
	}
	return c, nil
}

// Tree returns the files of a commit. The commit and its uppermost directories are fetched when they are not at hand.
func (r *Remote) Tree(ctx context.Context, h Hash) (*Tree, error) {
	c, err := r.commit(ctx, h)
	if err != nil {
		return nil, err
	}
	if !r.store.has(c.TreeHash) {
		// The commit is at hand without its tree: it came with a walk of commits.
		if err := r.fetchTop(ctx, h); err != nil {
			return nil, err
		}
	}
	return &Tree{remote: r, commit: h, root: c.TreeHash}, nil
}

// cleanPath splits a slash-separated path below the root of the repository; "" and "." are the root.
func cleanPath(p string) []string {
	p = strings.Trim(p, "/")
	if p == "" || p == "." {
		return nil
	}
	return strings.Split(p, "/")
}

func notExist(path string) error {
	return &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
}
