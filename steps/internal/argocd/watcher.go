package argocd

import (
	"context"
	"time"
)

// watcher merges the watch with polling. A watch that ends, for whatever reason, is opened again after the next poll, which
// says authoritatively whether something is wrong.
type watcher struct {
	ctx    context.Context
	client *Client
	ref    Ref
	seen   chan *Application
	ended  chan struct{}
	open   bool
	opened time.Time
	deaths int // how often in a row it has ended soon
	poll   time.Time
}

func newWatcher(ctx context.Context, c *Client, ref Ref) *watcher {
	w := &watcher{ctx: ctx, client: c, ref: ref, seen: make(chan *Application), ended: make(chan struct{})}
	w.start()
	return w
}

func (w *watcher) start() {
	w.open, w.opened, w.poll = true, time.Now(), time.Now().Add(pollEvery)
	go func() {
		// Why it ended is of no interest: the poll that follows finds out.
		_ = w.client.Watch(w.ctx, w.ref, func(a *Application) {
			select {
			case w.seen <- a:
			case <-w.ctx.Done():
			}
		})
		select {
		case w.ended <- struct{}{}:
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
		case <-w.ended:
			timer.Stop()
			w.open = false
			if time.Since(w.opened) > reopenMax {
				w.deaths = 0
			}
			w.poll = time.Now().Add(min(time.Second<<min(w.deaths, 4), reopenMax))
			w.deaths++
		case <-timer.C:
			if at.Equal(until) && at.Before(w.poll) {
				return nil, nil
			}
			return w.look()
		case <-w.ctx.Done():
			timer.Stop()
			return nil, w.ctx.Err()
		}
	}
}

func (w *watcher) look() (*Application, error) {
	a, err := w.client.Get(w.ctx, w.ref)
	w.poll = time.Now().Add(pollEvery)
	if err == nil && !w.open {
		w.start()
	}
	return a, err
}
