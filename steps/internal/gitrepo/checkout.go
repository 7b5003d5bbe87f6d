package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Checkout is a directory in which files of one commit are edited: a Worktree or an Overlay.
type Checkout interface {
	// Root is the absolute path of the directory that paths are relative to.
	Root() string
	// Base is the commit whose files were laid out.
	Base() Hash
	// Branch is the branch that was checked out, "" when HEAD is detached.
	Branch() string
	// Origin is the address of the repository, "" when it is not known. It may hold credentials.
	Origin() (string, error)
	// Revision returns the files of a commit that the checkout itself has. One that it lacks is of kind Usage.
	Revision(ctx context.Context, rev string) (*Tree, error)
	// Attach lets a Remote use what the checkout has, so that it need not be fetched. The methods below come after it.
	Attach(r *Remote) error
	// Resume finishes an Advance that was killed. It writes nothing when there was none.
	Resume(ctx context.Context) error
	// Changes returns what differs from Base, limited to paths if there are any; leftOut names other changes.
	Changes(paths []string) (changes []Change, leftOut []string, err error)
	// Advance lays out a published commit, so that nothing differs any more. built is the commit if it was built here, nil
	// otherwise; published names what it holds of this checkout's changes. It refuses rather than lose other changes, and
	// then has written nothing.
	Advance(ctx context.Context, branch string, to Hash, built *Built, published []Change) error
}

// OpenCheckout opens the overlay in a directory, or else the Git checkout around it. When there is neither the error is
// ErrNoCheckout.
func OpenCheckout(dir string) (Checkout, error) {
	o, err := OpenOverlay(dir)
	if err == nil {
		return o, nil
	}
	if !errors.Is(err, ErrNoOverlay) {
		return nil, err
	}
	w, err := OpenWorktree(dir)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Root returns the absolute path of the checkout that OpenCheckout opens for a directory, without symlinks, and needs no
// more of it than that it is there: one without commits has a root, too.
func Root(dir string) (string, error) {
	abs, err := existing(dir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(abs, overlayFile)); err == nil {
		return abs, nil
	}
	root, _, err := around(abs)
	if err == nil && root == "" {
		err = fmt.Errorf("directory %s: %w", dir, ErrNoCheckout)
	}
	return root, err
}
