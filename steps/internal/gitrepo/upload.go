package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"slipway/steps/internal/failure"
)

// uploadService is the reading half of a server, in the protocol version that it chose.
type uploadService struct {
	talk conversation
	v2   bool
	caps map[string]string // version 2: capability -> value
	adv  *packp.AdvRefs    // version 0: the refs at the time of the greeting, and the capabilities
	used bool              // over a stream: refs were listed (version 2), or the one request was sent (version 0)
}

// serves says whether another request may be sent. Over a stream one process of the server answers all of them, and it
// knows the refs as they were when it first looked.
func (u *uploadService) serves(fresh bool) bool {
	switch {
	case u.talk.reusable():
		return u.v2 || !fresh
	case u.v2:
		return !fresh || !u.used
	}
	return !fresh && !u.used
}

// filters says whether directories can be fetched one by one.
func (u *uploadService) filters() bool {
	if u.v2 {
		return strings.Contains(" "+u.caps["fetch"]+" ", " filter ")
	}
	caps := u.adv.Capabilities
	// Version 0 over a stream refuses every id that is no ref unless the server was told otherwise. Over HTTP stock Git
	// checks only whether it can be reached.
	anyID := u.talk.reusable() || caps.Supports(capability.AllowReachableSHA1InWant) || caps.Supports("allow-any-sha1-in-want")
	return caps.Supports(capability.Filter) && anyID
}

func (r *Remote) dropUpload() {
	if r.upload != nil {
		_ = r.upload.talk.close() // nothing was asked that an error could be about
		r.upload = nil
	}
}

// service returns the open upload service, or opens it. fresh asks for refs as they are now.
func (r *Remote) service(ctx context.Context, fresh bool) (*uploadService, error) {
	if u := r.upload; u != nil && u.serves(fresh) {
		return u, nil
	}
	r.dropUpload()
	talk, err := r.conn.open(ctx, uploadPack, true)
	if err != nil {
		return nil, err
	}
	u := &uploadService{talk: talk}
	if err := u.greet(talk.greeting()); err != nil {
		_ = talk.close() // the first error is the one to report
		return nil, classify(r.url, err)
	}
	r.upload = u
	if !u.filters() {
		r.fallBack("the server has no partial fetch")
	}
	return u, nil
}

// fallBack gives up partial fetches for good. What was fetched so far has holes, so no commit may be claimed any more.
func (r *Remote) fallBack(reason string) {
	if !r.noFilter {
		r.noFilter, r.top, r.walk = true, Hash{}, walked{}
		r.notice(reason + ": falling back to a shallow fetch of the whole tree")
	}
}

// greet reads the capabilities (version 2) or the advertised refs (version 0).
func (u *uploadService) greet(p *packetReader) error {
	kind, line, err := p.line()
	if err != nil {
		return unexpectedEOF(err)
	}
	if line == "version 2" {
		u.v2, u.caps = true, map[string]string{}
		for {
			if kind, line, err = p.line(); err != nil {
				return unexpectedEOF(err)
			}
			if kind != packetData {
				break
			}
			key, value, _ := strings.Cut(line, "=")
			u.caps[key] = value
		}
		return checkObjectFormat(u.caps["object-format"])
	}
	// go-git's decoder wants the stream from its start: give back what was read.
	var b bytes.Buffer
	for kind == packetData {
		appendPacket(&b, "%s\n", line)
		if kind, line, err = p.line(); err != nil {
			return unexpectedEOF(err)
		}
	}
	u.adv = packp.NewAdvRefs()
	if b.Len() == 0 {
		return nil // an empty repository, as some servers greet
	}
	appendFlush(&b)
	if err := u.adv.Decode(&b); err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		return fmt.Errorf("%w: %w", errNotGit, err)
	}
	if format := u.adv.Capabilities.Get(capability.Capability("object-format")); len(format) > 0 {
		return checkObjectFormat(format[0])
	}
	return nil
}

func checkObjectFormat(format string) error {
	if format != "" && format != "sha1" {
		return failure.New(failure.Usage, "use a repository in Git's default object format", "the repository uses %s object ids, which slipway does not read", format)
	}
	return nil
}

// Tip returns the commit that a branch points to now. A missing branch is failure.Usage and an empty repository
// failure.Conflict.
func (r *Remote) Tip(ctx context.Context, branch string) (Hash, error) {
	ref := "refs/heads/" + branch
	refs, err := r.refs(ctx, ref)
	if err != nil {
		return Hash{}, err
	}
	if h, ok := refs[ref]; ok {
		return h, nil
	}
	if refs, err = r.refs(ctx, "refs/heads/"); err != nil {
		return Hash{}, err
	}
	if len(refs) == 0 {
		return Hash{}, failure.New(failure.Conflict, "push a first commit, for example a README", "%s: the repository has no commits", r.url)
	}
	return Hash{}, failure.New(failure.Usage, "name an existing branch with --branch", "%s: there is no branch %s; there is %s", r.url, branch, someBranches(refs))
}

func (r *Remote) refs(ctx context.Context, prefix string) (map[string]Hash, error) {
	u, err := r.service(ctx, true)
	if err != nil {
		return nil, err
	}
	refs := map[string]Hash{}
	if !u.v2 {
		for name, h := range u.adv.References {
			if strings.HasPrefix(name, prefix) {
				refs[name] = h
			}
		}
		return refs, nil
	}
	var b bytes.Buffer
	appendPacket(&b, "command=ls-refs\n")
	appendDelimiter(&b)
	appendPacket(&b, "ref-prefix %s\n", prefix)
	appendFlush(&b)
	u.used = true
	reply, err := u.talk.send(ctx, b.Bytes())
	if err != nil {
		r.dropUpload()
		return nil, err
	}
	defer reply.Close()
	p := r.packets(u, reply)
	for {
		kind, line, err := p.line()
		if err != nil {
			r.dropUpload()
			return nil, classify(r.url, unexpectedEOF(err))
		}
		if kind != packetData {
			return refs, nil
		}
		if fields := strings.Fields(line); len(fields) >= 2 {
			refs[fields[1]] = plumbing.NewHash(fields[0])
		}
	}
}

// packets reads a reply; over a stream the reader of the greeting goes on, for it may have buffered ahead.
func (r *Remote) packets(u *uploadService, reply io.Reader) *packetReader {
	if u.talk.reusable() {
		return newPacketReader(reply)
	}
	return u.talk.greeting()
}

func someBranches(refs map[string]Hash) string {
	var names []string
	for name := range refs {
		names = append(names, strings.TrimPrefix(name, "refs/heads/"))
	}
	return listSome(names, 5)
}

// fetchRequest is what to ask of the server. A have claims everything reachable from the commit, except what lies behind
// the shallow commits.
type fetchRequest struct {
	wants   []Hash
	haves   []Hash
	shallow []Hash
	depth   int
	filter  string
	thin    bool
	// cut, if not nil, is told which commits the server left the parents out of.
	cut map[Hash]bool
}

// fetch adds what the server sends to the store. When the server refuses the filter the error is errFilter.
func (r *Remote) fetch(ctx context.Context, q fetchRequest) error {
	u, err := r.service(ctx, false)
	if err != nil {
		return err
	}
	u.used = u.used || !u.v2
	fetch := r.fetchV0
	if u.v2 {
		fetch = r.fetchV2
	}
	if err := fetch(ctx, u, q); err != nil {
		r.dropUpload()
		if q.filter != "" && refusesFilter(err) {
			r.fallBack("the server refused a partial fetch")
			return errFilter
		}
		return classify(r.url, err)
	}
	return nil
}

// errEmptyReply is a fetch that was answered by nothing at all: with HTTP status 200, this is how stock Git says that it
// does not know an argument.
var errEmptyReply = fmt.Errorf("%w: an empty answer to a fetch", io.ErrUnexpectedEOF)

func refusesFilter(err error) bool {
	var server *ServerError
	return errors.Is(err, errEmptyReply) || errors.As(err, &server) && containsAny(server.Message, "filter", "not our ref")
}

func (r *Remote) fetchV2(ctx context.Context, u *uploadService, q fetchRequest) error {
	var b bytes.Buffer
	appendPacket(&b, "command=fetch\n")
	appendDelimiter(&b)
	appendPacket(&b, "no-progress\n")
	appendPacket(&b, "ofs-delta\n")
	if q.thin {
		appendPacket(&b, "thin-pack\n")
	}
	for _, h := range q.shallow {
		appendPacket(&b, "shallow %s\n", h)
	}
	if q.depth > 0 {
		appendPacket(&b, "deepen %d\n", q.depth)
	}
	if q.filter != "" {
		appendPacket(&b, "filter %s\n", q.filter)
	}
	for _, h := range q.wants {
		appendPacket(&b, "want %s\n", h)
	}
	for _, h := range q.haves {
		appendPacket(&b, "have %s\n", h)
	}
	appendPacket(&b, "done\n")
	appendFlush(&b)
	reply, err := u.talk.send(ctx, b.Bytes())
	if err != nil {
		return err
	}
	defer reply.Close()
	p := r.packets(u, reply)
	for first := true; ; first = false {
		_, line, err := p.line()
		switch {
		case errors.Is(err, io.EOF) && first:
			return errEmptyReply
		case err != nil:
			return unexpectedEOF(err)
		case line == "packfile":
			return r.store.readPack(&sideband{packets: p})
		}
		q.note(line)
	}
}

func (q fetchRequest) note(line string) {
	if h, ok := strings.CutPrefix(line, "shallow "); ok && q.cut != nil {
		q.cut[plumbing.NewHash(h)] = true
	}
	if h, ok := strings.CutPrefix(line, "unshallow "); ok {
		delete(q.cut, plumbing.NewHash(h))
	}
}

// fetchV0 speaks the original protocol, which SSH servers without GIT_PROTOCOL and old forges are left with.
func (r *Remote) fetchV0(ctx context.Context, u *uploadService, q fetchRequest) error {
	req := packp.NewUploadPackRequest()
	caps := u.adv.Capabilities
	want := []capability.Capability{capability.OFSDelta, capability.NoProgress, capability.Sideband64k}
	if q.thin {
		want = append(want, capability.ThinPack)
	}
	if q.filter != "" {
		want = append(want, capability.Filter)
		req.Filter = packp.Filter(q.filter)
	}
	if q.depth > 0 || len(q.shallow) > 0 {
		want = append(want, capability.Shallow)
	}
	for _, c := range want {
		if caps.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return err
			}
		}
	}
	if !req.Capabilities.Supports(capability.Sideband64k) {
		return fmt.Errorf("%w: a server without side-band-64k", errNotGit)
	}
	req.Wants, req.Shallows, req.Haves, req.Depth = q.wants, q.shallow, q.haves, packp.DepthCommits(q.depth)
	var b bytes.Buffer
	if err := req.UploadRequest.Encode(&b); err != nil {
		return err
	}
	for _, h := range q.haves {
		appendPacket(&b, "have %s\n", h)
	}
	appendPacket(&b, "done\n")
	reply, err := u.talk.send(ctx, b.Bytes())
	if err != nil {
		return err
	}
	defer reply.Close()
	// The answer: with a depth, shallow lines up to a flush; then NAK or ACKs; then the pack in the side band, which is
	// the first packet whose first byte is a channel number.
	p := r.packets(u, reply)
	for first := true; ; first = false {
		if head, err := p.r.Peek(5); err == nil && head[4] <= 3 && string(head[:4]) != "0000" {
			return r.store.readPack(&sideband{packets: p})
		}
		_, line, err := p.line()
		switch {
		case errors.Is(err, io.EOF) && first:
			return errEmptyReply
		case err != nil:
			return unexpectedEOF(err)
		}
		q.note(line)
	}
}

// fetchTop brings a commit with its two uppermost levels of directories, or with everything where the server has no
// partial fetch.
func (r *Remote) fetchTop(ctx context.Context, h Hash) error {
	q := fetchRequest{wants: []Hash{h}, depth: 1, filter: r.filter("tree:2")}
	if !r.top.IsZero() && r.top != h {
		// Only what differs from a commit whose upper directories are here: deltas against them, some hundred bytes.
		q.haves, q.thin = []Hash{r.top}, true
		if r.noFilter {
			// What is missing here cannot be fetched by itself, so no more may be claimed than is at hand.
			q.shallow = []Hash{r.top}
		} else {
			// With a depth the server walks the whole tree of the old commit, which takes it five times as long and is
			// what writers who wait for each other then wait for. Without one it sends the few commits in between, too.
			q.depth = 0
		}
	}
	err := r.fetch(ctx, q)
	if errors.Is(err, errFilter) || q.thin && (errors.Is(err, plumbing.ErrObjectNotFound) || err == nil && !r.hasTop(h)) {
		// The second is a delta against something that was never sent: without a have there are none. The third is a commit that
		// the one which is claimed is made of: the server takes it for being here, too.
		err = r.fetch(ctx, fetchRequest{wants: []Hash{h}, depth: 1, filter: r.filter("tree:2")})
	}
	if err != nil {
		return err
	}
	r.top = h
	return nil
}

// hasTop says whether a commit and its uppermost directory are at hand.
func (r *Remote) hasTop(h Hash) bool {
	c, err := object.GetCommit(r.store, h)
	return err == nil && r.store.has(c.TreeHash)
}

func (r *Remote) filter(f string) string {
	if r.noFilter {
		return ""
	}
	return f
}
