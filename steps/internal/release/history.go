package release

import (
	"slices"
	"time"
)

// Commit is what the rules need of a commit.
type Commit struct {
	Hash    string
	Parents []string
	Author  string
	When    time.Time
	Message string
}

// History is a walk of commits, newest first. Truncated says that there are older ones that were not looked at: what the
// rules do not find may be there.
type History struct {
	Commits   []Commit
	Truncated bool
}

// Release returns the newest commit of a release that is not a revert.
func (h History) Release(id string) (Commit, bool) {
	return h.find(func(_ int, t Trailers) bool { return id != "" && t.Release == id && t.Reverts == "" })
}

// RevertOf returns the commit that reverts the commit hash and was not reverted itself. With an id it must be of that
// release; an empty id is any.
func (h History) RevertOf(hash, id string) (Commit, bool) {
	return h.find(func(at int, t Trailers) bool {
		return hash != "" && t.Reverts == hash && (id == "" || t.Release == id) && !h.reverted(at)
	})
}

// SetBy returns the newest commit that set the image on that path. Reverts set it too.
func (h History) SetBy(path, image string) (Commit, bool) {
	return h.find(func(_ int, t Trailers) bool {
		_, sets := t.image(path, image)
		return sets
	})
}

// Newer returns the commit that set the value in force if the same job made it with a higher order. Releases that were
// reverted do not count, and neither do reverts: what counts is the release whose value they brought back. Without a job
// or an order nothing is newer.
func (h History) Newer(path, image, job string, order int64) (Commit, bool) {
	inForce, found := h.find(func(at int, t Trailers) bool {
		_, sets := t.image(path, image)
		return sets && t.Reverts == "" && !h.reverted(at)
	})
	t := ParseTrailers(inForce.Message)
	if !found || job == "" || order == 0 || t.Job != job || t.Order <= order {
		return Commit{}, false
	}
	return inForce, true
}

// Frozen returns the revert that took the value of the image on that path away. There is none if a later commit set the
// value again, or if the revert was reverted itself.
func (h History) Frozen(path, image, value string) (Commit, bool) {
	last, found := h.find(func(at int, t Trailers) bool {
		i, sets := t.image(path, image)
		return sets && (i.New == value || t.Reverts != "" && i.Old == value && !h.reverted(at))
	})
	if i, _ := ParseTrailers(last.Message).image(path, image); !found || i.New == value {
		return Commit{}, false
	}
	return last, true
}

// find returns the newest commit that matches; at is its place in the history.
func (h History) find(match func(at int, t Trailers) bool) (Commit, bool) {
	for at, c := range h.Commits {
		if match(at, ParseTrailers(c.Message)) {
			return c, true
		}
	}
	return Commit{}, false
}

// reverted says whether a newer commit reverts the one at a place of the history, and was not reverted itself.
func (h History) reverted(at int) bool {
	for newer := range at {
		if ParseTrailers(h.Commits[newer].Message).Reverts == h.Commits[at].Hash && !h.reverted(newer) {
			return true
		}
	}
	return false
}

// image returns what the commit of t did to an image on a path.
func (t Trailers) image(path, name string) (Image, bool) {
	for _, p := range t.Paths {
		if p.Path != path {
			continue
		}
		if at := slices.IndexFunc(p.Images, func(i Image) bool { return i.Name == name }); at >= 0 {
			return p.Images[at], true
		}
	}
	return Image{}, false
}
