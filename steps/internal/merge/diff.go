package merge

import (
	"unicode/utf8"

	"github.com/sergi/go-diff/diffmatchpatch"
)

// The differ compares runes, so every different line becomes one. Surrogates are no valid runes and are left out.
const (
	firstSurrogate = 0xD800
	surrogates     = 0x800
	maxLines       = utf8.MaxRune - surrogates
)

// lineIDs gives the same rune to the same line in every text that it is shown.
type lineIDs map[string]rune

func (m *lineIDs) of(lines []string) []rune {
	if *m == nil {
		*m = make(lineIDs)
	}
	ids := make([]rune, len(lines))
	for i, line := range lines {
		id, known := (*m)[line]
		if !known {
			id = rune(len(*m)) + 1
			if id >= firstSurrogate {
				id += surrogates
			}
			(*m)[line] = id
		}
		ids[i] = id
	}
	return ids
}

// edit replaces the lines [start,end) of the base by the lines [otherStart,otherEnd) of another version.
type edit struct{ start, end, otherStart, otherEnd int }

// diff returns the edits that make other of base, in order. Edits never touch each other.
func diff(base, other []rune) []edit {
	head := 0
	for head < len(base) && head < len(other) && base[head] == other[head] {
		head++
	}
	tail := 0
	for tail < len(base)-head && tail < len(other)-head && base[len(base)-1-tail] == other[len(other)-1-tail] {
		tail++
	}

	differ := diffmatchpatch.New()
	differ.DiffTimeout = 0 // a result that depends on the clock would merge differently on the next attempt
	var edits []edit
	at := edit{start: head, end: head, otherStart: head, otherEnd: head}
	for _, d := range differ.DiffMainRunes(base[head:len(base)-tail], other[head:len(other)-tail], false) {
		n := utf8.RuneCountInString(d.Text)
		switch d.Type {
		case diffmatchpatch.DiffDelete:
			at.end += n
		case diffmatchpatch.DiffInsert:
			at.otherEnd += n
		case diffmatchpatch.DiffEqual:
			edits = appendEdit(edits, at)
			at = edit{start: at.end + n, end: at.end + n, otherStart: at.otherEnd + n, otherEnd: at.otherEnd + n}
		}
	}
	return slide(base, other, appendEdit(edits, at))
}

func appendEdit(edits []edit, e edit) []edit {
	if e.start == e.end && e.otherStart == e.otherEnd {
		return edits
	}
	return append(edits, e)
}

// slide moves every pure insertion and deletion down as far as the text allows, and joins it with the edit that it meets.
// The same change can be told in several ways where lines repeat; git tells it this way, and both sides must be told alike.
func slide(base, other []rune, edits []edit) []edit {
	var slid []edit
	for i, e := range edits {
		limit := len(base)
		if i+1 < len(edits) {
			limit = edits[i+1].start
		}
		for e.end < limit && e.movesDown(base, other) {
			e = edit{start: e.start + 1, end: e.end + 1, otherStart: e.otherStart + 1, otherEnd: e.otherEnd + 1}
		}
		if e.end == limit && i+1 < len(edits) {
			next := &edits[i+1]
			next.start, next.otherStart = e.start, e.otherStart
			continue
		}
		slid = append(slid, e)
	}
	return slid
}

func (e edit) movesDown(base, other []rune) bool {
	switch {
	case e.start == e.end:
		return other[e.otherStart] == other[e.otherEnd]
	case e.otherStart == e.otherEnd:
		return base[e.start] == base[e.end]
	default:
		return false
	}
}
