package argocd

import (
	"context"
	"errors"
	"time"
)

// watcher merges the watch with polling. A watch that ends, for whatever reason, is opened again after the next poll, which
// says authoritatively whether something is wrong.
type watcher struct {
	ctx    context.Context
	client *Client
	ref    Ref
	seen   chan *Application
	ended  chan error
	open   bool
	opened time.Time
	deaths int // how often in a row it has ended soon
	poll   time.Time
	gone   bool // says the watch, so that an answer that says so, too, is no mistake
}

func newWatcher(ctx context.Context, c *Client, ref Ref) *watcher {
	w := &watcher{ctx: ctx, client: c, ref: ref, seen: make(chan *Application), ended: make(chan error)}
	w.start()
	return w
}

func (w *watcher) start() {
	w.open, w.opened, w.poll = true, time.Now(), time.Now().Add(pollEvery)
	go func() {
		err := w.client.Watch(w.ctx, w.ref, func(a *Application) {
			select {
			case w.seen <- a:
			case <-w.ctx.Done():
			}
		})
		select {
		case w.ended <- err:
		case <-w.ctx.Done():
		}
	}()
}

// next returns the next state, or nil when until has come.
func (w *watcher) next(until time.Time) (*Application, error) {
	for {
		at := w.poll
		if !until.IsZero() && until.Before(at) {
			at = until
		}
		timer := time.NewTimer(time.Until(at))
		select {
		case a := <-w.seen:
			timer.Stop()
			return a, nil
		case err := <-w.ended:
			timer.Stop()
			w.close(err)
		case <-timer.C:
			if at.Equal(until) && at.Before(w.poll) {
				return nil, nil
			}
			select {
			case err := <-w.ended:
				w.close(err)
			default:
			}
			return w.look()
		case <-w.ctx.Done():
			timer.Stop()
			return nil, w.ctx.Err()
		}
	}
}

// close plans when the watch is opened again. Any reason but one is of no interest: the poll that follows finds out.
func (w *watcher) close(err error) {
	w.open, w.gone = false, errors.Is(err, errDeleted)
	if time.Since(w.opened) > reopenMax {
		w.deaths = 0
	}
	w.poll = time.Now().Add(min(time.Second<<min(w.deaths, 4), reopenMax))
	w.deaths++
}

func (w *watcher) look() (*Application, error) {
	a, err := w.client.Get(w.ctx, w.ref)
	w.poll = time.Now().Add(pollEvery)
	switch {
	case err != nil && w.gone:
		return nil, join(err, errCertain)
	case err == nil && !w.open:
		w.start()
	}
	return a, err
}
