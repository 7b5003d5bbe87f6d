package gitrepo

import (
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"slipway/retry"
)

// PartialFetch says whether the server sends directories one by one. It opens a connection when there is none.
func (r *Remote) PartialFetch(ctx context.Context) (bool, error) {
	u, err := r.service(ctx, false)
	if err != nil {
		return false, err
	}
	return u.filters(), nil
}

// ServerTime returns the clock of the server as its last answer told it, and when that came in; both are zero where the
// protocol does not tell, as over SSH.
func (r *Remote) ServerTime() (server, local time.Time) {
	if c, ok := r.conn.(*httpConnection); ok {
		return c.date, c.dated
	}
	return time.Time{}, time.Time{}
}

// ProbePush finds out whether a push to a ref would be let through, and changes nothing: it asks to move the ref from a
// commit at which it is not, so that the server consults its permissions and hooks and then refuses for the old value. That
// refusal is no error. Both commits must be on the server; for a ref that is not there, any two are.
func (r *Remote) ProbePush(ctx context.Context, ref string, from, to Hash) error {
	talk, adv, err := r.openPush(ctx)
	if err != nil {
		return err
	}
	defer talk.close()
	if adv.References[ref] == from {
		return retry.Transient(fmt.Errorf("push to %s: it has moved to %s meanwhile", ref, from))
	}
	pack, err := writePack(nil, false, zlib.NoCompression)
	if err != nil {
		return err
	}
	err = r.update(ctx, "push to "+ref, talk, adv, pack, &packp.Command{Name: plumbing.ReferenceName(ref), Old: from, New: to})
	if errors.Is(err, ErrDiverged) {
		return nil
	}
	return err
}
