package gitrepo

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitattributes"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"

	"slipway/steps/internal/failure"
)

// Changes returns what differs between HEAD and the files on disk. Without paths these are the files that Git tracks;
// with paths (relative to the root of the work tree) everything below them, new files included, except what is ignored.
// leftOut names changes that are not part of the result. Only the repository's own .gitignore and info/exclude count, so
// that the result does not depend on who runs it.
func (w *Worktree) Changes(paths []string) (changes []Change, leftOut []string, err error) {
	idx, err := w.index()
	if err != nil {
		return nil, nil, err
	}
	head, err := w.headFiles(idx)
	if err != nil {
		return nil, nil, err
	}
	names := maps.Clone(head)
	for name, e := range idx.byName {
		if _, ok := names[name]; !ok && under(name, paths) {
			names[name] = Entry{Name: name, Mode: Mode(e.Mode)}
		}
	}
	attrs := w.attributes()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at, tracked := head[name]
		differs, to, err := w.compare(idx, attrs, name, at, tracked)
		if err != nil && !under(name, paths) {
			differs, err = true, nil // what cannot be read here is not to be committed anyway
		}
		switch {
		case err != nil:
			return nil, nil, err
		case !differs:
		case !under(name, paths):
			leftOut = append(leftOut, name)
		default:
			c := Change{Path: name, To: to}
			if tracked {
				if c.From, err = w.blob(at.Mode, at.Hash); err != nil {
					return nil, nil, err
				}
			}
			changes = append(changes, c)
		}
	}
	untracked, err := w.untracked(names, paths)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range untracked {
		if len(paths) == 0 {
			leftOut = append(leftOut, name)
			continue
		}
		_, to, err := w.compare(idx, attrs, name, Entry{}, false)
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, Change{Path: name, To: to})
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes, leftOut, nil
}

// compare says whether a path differs from HEAD, and what Git would store for it now.
func (w *Worktree) compare(idx *stagingArea, attrs *attributes, name string, at Entry, tracked bool) (differs bool, to *File, err error) {
	e := idx.byName[name]
	if at.Mode == ModeSubmodule || e != nil && (e.SkipWorktree || Mode(e.Mode) == ModeSubmodule) {
		return false, nil, nil
	}
	info, err := w.dir.lstat(name)
	if err == nil && e != nil && tracked && e.Hash == at.Hash && Mode(e.Mode) == at.Mode && idx.unmodified(e, info) &&
		(!w.config.fileMode || w.modeOf(info, at.Mode) == at.Mode) {
		return false, nil, nil
	}
	if to, err = w.dir.read(name); err != nil || to == nil {
		return tracked && err == nil, nil, err
	}
	if !w.config.fileMode && tracked && to.Mode != ModeSymlink {
		to.Mode = at.Mode
	}
	if tracked && sameEntry(to, at) {
		return false, nil, nil
	}
	var stored *File
	if tracked {
		if stored, err = w.blob(at.Mode, at.Hash); err != nil {
			return false, nil, err
		}
	}
	if to, err = w.clean(attrs, name, stored, to); err != nil {
		return false, nil, err
	}
	return !sameFile(to, stored), to, nil
}

func (w *Worktree) modeOf(info fs.FileInfo, was Mode) Mode {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return ModeSymlink
	case info.Mode()&0o100 != 0:
		return ModeExecutable
	case was == ModeSymlink:
		return ModeSymlink // the size and time stamp matched; a file system without symlinks holds a plain file
	}
	return ModeRegular
}

func sameEntry(f *File, e Entry) bool { return f.Mode == e.Mode && f.Hash() == e.Hash }

const lfsPointer = "version https://git-lfs.github.com/spec/"

// clean turns a file on disk into what Git would store: line ends by attributes and core.autocrlf. Files in Git LFS are
// refused, for their contents would have to be uploaded to another server.
func (w *Worktree) clean(attrs *attributes, name string, stored, now *File) (*File, error) {
	if now.Mode == ModeSymlink {
		return now, nil
	}
	wasPointer := stored != nil && bytes.HasPrefix(stored.Data, []byte(lfsPointer))
	if (wasPointer || attrs.value(name, "filter") == "lfs") && !bytes.HasPrefix(now.Data, []byte(lfsPointer)) {
		if wasPointer && bytes.Equal(lfsPointerTo(stored.Data, now.Data), stored.Data) {
			return stored, nil
		}
		return nil, failure.New(failure.Invalid, "commit it with git and git-lfs, or limit the commit with --path", "%s: the file is kept in Git LFS", name)
	}
	if !hasCRLF(now.Data) || !attrs.isText(name, w.config.autoCRLF) || bytes.IndexByte(now.Data, 0) >= 0 {
		return now, nil
	}
	if stored != nil && hasCRLF(stored.Data) && !attrs.forcesText(name) {
		return now, nil // Git's own rule: what is stored with CRLF is not converted behind the user's back
	}
	return &File{Mode: now.Mode, Data: toLF(now.Data)}, nil
}

func hasCRLF(data []byte) bool { return bytes.Contains(data, []byte("\r\n")) }
func toCRLF(data []byte) []byte {
	return bytes.ReplaceAll(toLF(data), []byte("\n"), []byte("\r\n"))
}

func (w *Worktree) convertsLineEnds(name string, f *File) bool {
	return f.Mode != ModeSymlink && f.Mode != ModeSubmodule && w.attributes().isText(name, w.config.autoCRLF)
}

// attributes answers what .gitattributes files say of a path. They are read where the path leads, once each.
type attributes struct {
	w     *Worktree
	byDir map[string][]gitattributes.MatchAttribute
}

func (w *Worktree) attributes() *attributes {
	return &attributes{w: w, byDir: map[string][]gitattributes.MatchAttribute{}}
}

func (a *attributes) value(name, attribute string) string {
	var stack []gitattributes.MatchAttribute
	parts := strings.Split(name, "/")
	for i := range parts {
		stack = append(stack, a.of(strings.Join(parts[:i], "/"), parts[:i])...)
	}
	stack = append(stack, a.info()...)
	if len(stack) == 0 {
		return ""
	}
	results, _ := gitattributes.NewMatcher(stack).Match(parts, []string{attribute})
	switch v := results[attribute]; {
	case v == nil || v.IsUnspecified():
		return ""
	case v.IsSet():
		return "true"
	case v.IsUnset():
		return "false"
	default:
		return v.Value()
	}
}

func (a *attributes) of(dir string, domain []string) []gitattributes.MatchAttribute {
	if found, ok := a.byDir[dir]; ok {
		return found
	}
	data, err := a.w.dir.root.ReadFile(path.Join(dir, ".gitattributes"))
	if err == nil {
		a.byDir[dir], _ = gitattributes.ReadAttributes(bytes.NewReader(data), domain, dir == "") // Git ignores lines it cannot read, too
	} else {
		a.byDir[dir] = nil
	}
	return a.byDir[dir]
}

func (a *attributes) info() []gitattributes.MatchAttribute {
	const key = ".git/info"
	if _, ok := a.byDir[key]; !ok {
		a.byDir[key] = nil
		if data, err := os.ReadFile(filepath.Join(a.w.common, "info", "attributes")); err == nil {
			a.byDir[key], _ = gitattributes.ReadAttributes(bytes.NewReader(data), nil, true)
		}
	}
	return a.byDir[key]
}

// isText says whether Git converts CRLF to LF when it stores the path (gitattributes, core.autocrlf).
func (a *attributes) isText(name, autoCRLF string) bool {
	if a.forcesText(name) {
		return true
	}
	switch a.value(name, "text") {
	case "auto":
		return true
	case "false":
		return false
	}
	return autoCRLF == "true" || autoCRLF == "input"
}

func (a *attributes) forcesText(name string) bool {
	text, eol := a.value(name, "text"), a.value(name, "eol")
	return text == "true" || text != "false" && (eol == "lf" || eol == "crlf")
}

// untracked lists files below paths (everywhere without any) that are neither known nor ignored.
func (w *Worktree) untracked(known map[string]Entry, paths []string) ([]string, error) {
	var found []string
	var walk func(dir string, ignored []gitignore.Pattern) error
	walk = func(dir string, ignored []gitignore.Pattern) error {
		var domain []string
		if dir != "." {
			domain = strings.Split(dir, "/")
		}
		// Not through os.Root, which would open every directory on the way again; links are not followed here anyway.
		entries, err := os.ReadDir(filepath.Join(w.dir.path, dir))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ".gitignore" }) {
			ignored = append(ignored[:len(ignored):len(ignored)], w.ignorePatterns(dir, domain)...)
		}
		matcher := gitignore.NewMatcher(ignored)
		for _, e := range entries {
			p := path.Join(dir, e.Name())
			if e.Name() == ".git" || strings.HasPrefix(e.Name(), ownPrefix) || matcher.Match(strings.Split(p, "/"), e.IsDir()) || !under(p, paths) && !leadsTo(p, paths) {
				continue
			}
			if e.IsDir() {
				if _, err := os.Lstat(filepath.Join(w.dir.path, p, ".git")); err == nil {
					continue // a repository of its own
				}
				if err := walk(p, ignored); err != nil {
					return err
				}
			} else if _, ok := known[p]; !ok && under(p, paths) {
				found = append(found, p)
			}
		}
		return nil
	}
	var base []gitignore.Pattern
	if data, err := os.ReadFile(filepath.Join(w.common, "info", "exclude")); err == nil {
		base = parseIgnore(data, nil)
	}
	if err := walk(".", base); err != nil {
		return nil, fmt.Errorf("checkout %s: %w", w.dir.path, err)
	}
	return found, nil
}

func (w *Worktree) ignorePatterns(dir string, domain []string) []gitignore.Pattern {
	data, err := w.dir.root.ReadFile(path.Join(dir, ".gitignore"))
	if err != nil {
		return nil
	}
	return parseIgnore(data, domain)
}

func parseIgnore(data []byte, domain []string) []gitignore.Pattern {
	var patterns []gitignore.Pattern
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, gitignore.ParsePattern(line, domain))
		}
	}
	return patterns
}
