package manifest

import (
	"errors"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"regexp"

	"slipway/steps/internal/failure"
)

// document checks a file that kustomize parses.
func (c checker) document(field, name string) (Info, error) {
	info, err := c.regular(field, name)
	c.documents[info.Path] = err == nil
	return info, err
}

// opaque checks a file whose content becomes a value.
func (c checker) opaque(field, name string) error {
	info, err := c.regular(field, name)
	c.data[info.Path] = err == nil
	return err
}

func (c checker) regular(field, name string) (Info, error) {
	info, err := c.local(field, name)
	if err != nil {
		return Info{}, err
	}
	if info.Dir {
		return Info{}, c.refused(field, name, "name a file", "%s is a directory", name)
	}
	return info, c.inside(field, name, info)
}

// inside is kustomize's own rule, said in words that name the place.
func (c checker) inside(field, name string, info Info) error {
	if _, ok := below(info.Path, c.dir); !ok {
		return c.refused(field, name, "move it there, or make its directory a kustomization and list that in resources",
			"%s is a file outside of the kustomization's directory", name)
	}
	return nil
}

// local checks that a text names something in the repository.
func (c checker) local(field, name string) (Info, error) {
	switch {
	case name == "":
		return Info{}, c.refused(field, name, "remove it", "an entry is empty")
	case isURL(name) || isGit(name):
		return Info{}, c.refused(field, name, "commit what it stands for and name it by a relative path; a build makes no requests",
			"%q is a URL", name)
	case path.IsAbs(name) || filepath.IsAbs(name):
		return Info{}, c.refused(field, name, "name it relative to the kustomization", "%q is an absolute path", name)
	case !filepath.IsLocal(path.Join(c.dir, name)):
		return Info{}, c.refused(field, name, "refer to files of the repository only", "%q leads out of the repository", name)
	}
	info, err := c.source.Stat(c.ctx, path.Join(c.dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Info{}, c.refused(field, name, "add it, or correct the name; it is relative to the kustomization", "%q is not there", name)
	case failure.KindOf(err) == failure.Invalid:
		return Info{}, c.refused(field, name, failure.HintOf(err), "%s", err)
	}
	return info, err
}

// isURL is kustomize's own test for what it fetches by HTTP.
func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

var gitLike = regexp.MustCompile(`(?i)^(git::|(ssh|https?|file)://|[a-z][a-z0-9-]*@|github\.com[/:])`)

// isGit tells what kustomize may take for a Git repository and run git for, even if a directory has that name.
func isGit(text string) bool { return gitLike.MatchString(text) }
