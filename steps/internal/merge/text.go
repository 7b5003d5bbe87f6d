package merge

import (
	"bytes"
	"slices"
	"strings"
)

// Hunk is one place where both sides changed the same or adjacent lines differently. Line is the 1-based line of the base
// where it starts; the texts are whole lines with their line ends, empty where a side has none.
type Hunk struct {
	Line               int
	Base, Ours, Theirs string
}

// Text merges two changed versions of base by lines, as git merge-file does. No hunks means a clean merge; with hunks
// there is no merged text. A side that is not text (it holds a NUL byte) or has more different lines than can be compared
// is one hunk with Line 0 and no texts.
func Text(base, ours, theirs []byte) (merged []byte, hunks []Hunk) {
	if isBinary(base) || isBinary(ours) || isBinary(theirs) {
		return nil, []Hunk{{}}
	}
	var ids lineIDs
	b, o, t := newVersion(&ids, base), newVersion(&ids, ours), newVersion(&ids, theirs)
	if len(ids) > maxLines {
		return nil, []Hunk{{}}
	}
	ourEdits, theirEdits := diff(b.ids, o.ids), diff(b.ids, t.ids)

	var out []string
	var ourShift, theirShift, done int
	for len(ourEdits)+len(theirEdits) > 0 {
		start, end, ourCount, theirCount := group(ourEdits, theirEdits)
		ourText, ourNext := o.slice(start, end, ourShift, ourEdits[:ourCount])
		theirText, theirNext := t.slice(start, end, theirShift, theirEdits[:theirCount])
		out = append(out, b.lines[done:start]...)
		switch {
		case theirCount == 0, slices.Equal(ourText, theirText):
			out = append(out, ourText...)
		case ourCount == 0:
			out = append(out, theirText...)
		default:
			hunks = append(hunks, Hunk{
				Line: start + 1, Base: strings.Join(b.lines[start:end], ""),
				Ours: strings.Join(ourText, ""), Theirs: strings.Join(theirText, ""),
			})
		}
		ourEdits, theirEdits = ourEdits[ourCount:], theirEdits[theirCount:]
		ourShift, theirShift, done = ourNext, theirNext, end
	}
	if len(hunks) > 0 {
		return nil, hunks
	}
	return []byte(strings.Join(append(out, b.lines[done:]...), "")), nil
}

func isBinary(data []byte) bool { return bytes.IndexByte(data, 0) >= 0 }

// group finds the first run of edits of both sides that touch or overlap each other: git's rule, by which adjacent changes
// conflict too. It returns the lines of the base they cover and how many edits of each side belong to it.
func group(ours, theirs []edit) (start, end, ourCount, theirCount int) {
	start = int(^uint(0) >> 1)
	if len(ours) > 0 {
		start = ours[0].start
	}
	if len(theirs) > 0 {
		start = min(start, theirs[0].start)
	}
	end = start
	for {
		switch {
		case ourCount < len(ours) && ours[ourCount].start <= end:
			end = max(end, ours[ourCount].end)
			ourCount++
		case theirCount < len(theirs) && theirs[theirCount].start <= end:
			end = max(end, theirs[theirCount].end)
			theirCount++
		default:
			return start, end, ourCount, theirCount
		}
	}
}

// version is one of the three texts: its lines with their line ends, and the id of each line.
type version struct {
	lines []string
	ids   []rune
}

func newVersion(ids *lineIDs, data []byte) version {
	lines := slices.Collect(strings.Lines(string(data)))
	return version{lines: lines, ids: ids.of(lines)}
}

// slice returns what this version has in place of the lines [start,end) of the base, and by how many lines it is ahead of
// the base after them. shift is that number before them; edits are the ones inside.
func (v version) slice(start, end, shift int, edits []edit) (lines []string, next int) {
	next = shift
	if len(edits) > 0 {
		last := edits[len(edits)-1]
		next = last.otherEnd - last.end
	}
	return v.lines[start+shift : end+next], next
}
