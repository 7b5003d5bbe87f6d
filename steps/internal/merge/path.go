// Package merge merges two changes of one file. Base is the state that both started from, ours is the tip of the branch,
// theirs is the change to publish. Everything here is a pure function, and a change that cannot be merged without guessing
// is a conflict.
package merge

import (
	"bytes"
	"fmt"
	"strings"
)

// The modes that Git gives to the entries of a tree.
const (
	ModeRegular    uint32 = 0o100644
	ModeExecutable uint32 = 0o100755
	ModeSymlink    uint32 = 0o120000
	ModeSubmodule  uint32 = 0o160000
	ModeDirectory  uint32 = 0o040000
)

// File is one entry of a tree: its Git mode and its content, which is the target of a symlink and the hexadecimal commit
// id of a submodule. A directory has no content; it is given for the tip only, where it stands in a file's place.
type File struct {
	Mode uint32
	Data []byte
}

// Conflict is one place where the tip and the change to publish contradict each other. Key is set by drivers that know the
// meaning of a file, Line (1-based, in the base) by the merge of lines. The three values are short enough for a message and
// empty where there is nothing to show.
type Conflict struct {
	Path, Key, Base, Ours, Theirs, Reason string
	Line                                  int
}

// Driver merges the content of files that it understands better than as lines. It is asked only where both sides changed
// the content; ok is false for files that are not for it.
type Driver func(path string, base, ours, theirs []byte) (merged []byte, conflicts []Conflict, ok bool)

// Path merges the entry at path; nil stands for an absent one, also as the result. The result is meaningful only when there
// are no conflicts. The driver may be nil.
func Path(path string, base, ours, theirs *File, driver Driver) (result *File, conflicts []Conflict) {
	refuse := func(reason string) (*File, []Conflict) {
		return nil, []Conflict{{
			Path: path, Base: describe(base), Ours: describe(ours), Theirs: describe(theirs), Reason: reason,
		}}
	}
	switch {
	case ours != nil && ours.Mode == ModeDirectory:
		if theirs == nil {
			return ours, nil
		}
		return refuse("the tip has a directory in place of the file")
	case same(ours, theirs), same(base, theirs):
		return ours, nil
	case same(base, ours):
		return theirs, nil
	case base == nil:
		return refuse("the tip and this change both add it, differently")
	case ours == nil:
		return refuse("the tip deleted it and this change edits it")
	case theirs == nil:
		return refuse("the tip edited it and this change deletes it")
	case !base.isRegular() || !ours.isRegular() || !theirs.isRegular():
		return refuse("the tip and this change both edit it, and it is not a regular file everywhere")
	}
	data, conflicts := content(path, base.Data, ours.Data, theirs.Data, driver)
	if len(conflicts) > 0 {
		return nil, conflicts
	}
	mode := ours.Mode
	if mode == base.Mode {
		mode = theirs.Mode
	}
	return &File{Mode: mode, Data: data}, nil
}

func content(path string, base, ours, theirs []byte, driver Driver) ([]byte, []Conflict) {
	switch {
	case bytes.Equal(ours, theirs), bytes.Equal(base, theirs):
		return ours, nil
	case bytes.Equal(base, ours):
		return theirs, nil
	}
	if driver != nil {
		if merged, conflicts, ok := driver(path, base, ours, theirs); ok {
			return merged, conflicts
		}
	}
	merged, hunks := Text(base, ours, theirs)
	var conflicts []Conflict
	for _, h := range hunks {
		reason := "the tip and this change both edit these or adjacent lines"
		if h.Line == 0 {
			reason = "the tip and this change both edit it, and it cannot be merged by lines"
		}
		conflicts = append(conflicts, Conflict{
			Path: path, Line: h.Line, Base: excerpt(h.Base), Ours: excerpt(h.Ours), Theirs: excerpt(h.Theirs), Reason: reason,
		})
	}
	return merged, conflicts
}

func (f *File) isRegular() bool { return f.Mode == ModeRegular || f.Mode == ModeExecutable }

func same(a, b *File) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Mode == b.Mode && bytes.Equal(a.Data, b.Data)
}

// describe says what kind of entry a whole-file conflict is about: the content of a regular file is too long to show.
func describe(f *File) string {
	switch {
	case f == nil:
		return "absent"
	case f.Mode == ModeSymlink:
		return "symlink to " + excerpt(string(f.Data))
	case f.Mode == ModeSubmodule:
		return "submodule at " + excerpt(string(f.Data))
	case f.Mode == ModeDirectory:
		return "directory"
	default:
		return "file"
	}
}

// What a message shows of a conflicting text.
const (
	excerptLines = 3
	excerptRunes = 200
)

// excerpt shortens text for a message: its first lines without the last line end, and how many lines there are.
func excerpt(text string) string {
	trimmed := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	lines := strings.Split(trimmed, "\n")
	shown := strings.Join(lines[:min(len(lines), excerptLines)], "\n")
	if runes := []rune(shown); len(runes) > excerptRunes {
		shown = string(runes[:excerptRunes]) + "..."
	}
	if len(lines) > excerptLines {
		shown += fmt.Sprintf("\n... (%d lines)", len(lines))
	}
	return shown
}
