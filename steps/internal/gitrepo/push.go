package gitrepo

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"slipway/retry"
)

// Swap publishes a built commit: the branch moves from the commit's parent to the commit in one step on the server, or
// stays where it is. When it was no longer at the parent the error is ErrDiverged; when the answer was lost it is
// ErrUncertain. Both are transient, and what to try again is the whole attempt, from reading the tip. It never forces.
func (r *Remote) Swap(ctx context.Context, branch string, b *Built) error {
	// The old value of the ref is the commit that ours was built on and never what is advertised now: a fresher one
	// would overwrite, without a trace, what came in between.
	command := &packp.Command{Name: plumbing.NewBranchReferenceName(branch), Old: b.Parents[0], New: b.Hash}
	return r.swap(ctx, "push to "+branch, command, b, nil)
}

// swap sends a command with what its commit is made of. Refs that are still where removed says go in the same step, where the
// server can do all or nothing.
func (r *Remote) swap(ctx context.Context, what string, command *packp.Command, b *Built, removed map[string]Hash) error {
	talk, adv, err := r.openPush(ctx)
	if err != nil {
		return err
	}
	defer talk.close()
	// Comparing them saves sending a pack that cannot be taken.
	if at := adv.References[command.Name.String()]; at != command.Old {
		return retry.Transient(fmt.Errorf("%s: %w: it is at %s, not at %s", what, ErrDiverged, at, command.Old))
	}
	deltas := !r.noDeltas && !adv.Capabilities.Supports(capability.Capability("no-thin"))
	pack, err := writePack(b.objects, deltas, zlib.DefaultCompression)
	if err != nil {
		return err
	}
	commands := []*packp.Command{command}
	if adv.Capabilities.Supports(capability.Atomic) && adv.Capabilities.Supports(capability.DeleteRefs) {
		for name, h := range removed {
			if adv.References[name] == h {
				commands = append(commands, &packp.Command{Name: plumbing.ReferenceName(name), Old: h})
			}
		}
	}
	return r.update(ctx, what, talk, adv, pack, commands...)
}

// update sends commands with their pack, several of them as one, and reads what became of them.
func (r *Remote) update(ctx context.Context, what string, talk conversation, adv *packp.AdvRefs, pack []byte, commands ...*packp.Command) error {
	req := packp.NewReferenceUpdateRequest()
	wanted := []capability.Capability{capability.ReportStatus, capability.Sideband64k}
	if len(commands) > 1 {
		wanted = append(wanted, capability.Atomic)
	}
	for _, c := range wanted {
		if !adv.Capabilities.Supports(c) {
			continue
		}
		if err := req.Capabilities.Set(c); err != nil {
			return err
		}
	}
	req.Commands = commands
	req.Packfile = io.NopCloser(bytes.NewReader(pack))
	var body bytes.Buffer
	if err := req.Encode(&body); err != nil {
		return err
	}
	reply, err := talk.send(ctx, body.Bytes())
	if err != nil {
		return uncertain(what, err)
	}
	defer reply.Close()
	return r.readReport(what, talk, reply, req.Capabilities.Supports(capability.Sideband64k))
}

func (r *Remote) openPush(ctx context.Context) (conversation, *packp.AdvRefs, error) {
	talk, err := r.conn.open(ctx, receivePack, false)
	if err != nil {
		return nil, nil, err
	}
	u := &uploadService{}
	if err := u.greet(talk.greeting()); err != nil {
		_ = talk.close() // the first error is the one to report
		return nil, nil, classify(r.url, err)
	}
	if u.adv == nil {
		_ = talk.close() // the first error is the one to report
		return nil, nil, classify(r.url, fmt.Errorf("%w: a push was greeted in protocol version 2", errNotGit))
	}
	return talk, u.adv, nil
}

// uncertain marks an error that came after the push was on its way. An answer with a status is no such error, unless a
// proxy gave it: a gateway's time limit ends while the server goes on.
func uncertain(what string, err error) error {
	var status *StatusError
	if errors.As(err, &status) && status.Status < 500 || !retry.IsTransient(err) {
		return err
	}
	return retry.Transient(fmt.Errorf("%s: %w: %w", what, ErrUncertain, err))
}

func (r *Remote) readReport(what string, talk conversation, reply io.Reader, banded bool) error {
	var messages bytes.Buffer
	var stream io.Reader
	if talk.reusable() {
		stream = reply
	} else {
		stream = talk.greeting().r
	}
	if banded {
		stream = &sideband{packets: newPacketReader(stream), messages: &messages}
	}
	status := packp.NewReportStatus()
	if err := status.Decode(stream); err != nil {
		var server *ServerError
		if errors.As(err, &server) {
			return classifyPush(what, &PushError{Status: server.Message, Messages: tidy(messages.String())})
		}
		// A report that cannot be read says nothing about the push.
		return retry.Transient(fmt.Errorf("%s: %w: %w", what, ErrUncertain, unexpectedEOF(err)))
	}
	// Read to the end: the connection can then be used again, and late messages of hooks are not lost.
	_, _ = io.Copy(io.Discard, stream)
	if status.UnpackStatus != "ok" {
		push := &PushError{Status: "unpack: " + status.UnpackStatus, Messages: tidy(messages.String())}
		if !r.noDeltas {
			// The next attempt sends whole objects, in case the server did not have what a delta was made against.
			r.noDeltas = true
			return retry.Transient(fmt.Errorf("%s: %w", what, push))
		}
		return classifyPush(what, push)
	}
	for _, c := range status.CommandStatuses {
		if c.Status != "ok" {
			return classifyPush(what, &PushError{Status: c.Status, Messages: tidy(messages.String())})
		}
	}
	return nil
}

// tidy joins the lines of a server's messages, without the blank ones and the frames that forges draw around them.
func tidy(messages string) string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(messages, "\r", "\n")) {
		if line = strings.Trim(line, " \t\n="); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
