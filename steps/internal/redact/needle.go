package redact

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// needle matches one form of a secret with each of its characters written plainly or escaped. Programs escape different
// sets of characters, so whole escaped words cannot be listed, but the spellings of one character can.
type needle struct {
	first byte
	runes []spellings
}

type spellings []string

// newNeedle splits text at runes; a byte that is not UTF-8 stands for itself.
func newNeedle(text string) needle {
	n := needle{first: text[0]}
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		n.runes = append(n.runes, spell(text[:size], r))
		text = text[size:]
	}
	return n
}

func spell(raw string, r rune) spellings {
	percent, hex := "", ""
	for i := range len(raw) {
		percent += fmt.Sprintf("%%%02x", raw[i])
		hex += fmt.Sprintf(`\x%02x`, raw[i])
	}
	all := spellings{raw, percent, hex}
	units := ""
	for _, unit := range utf16.Encode([]rune{r}) {
		units += fmt.Sprintf(`\u%04x`, unit)
	}
	all = append(all, units, fmt.Sprintf(`\U%08x`, r))
	if r == ' ' {
		all = append(all, "+")
	}
	if short, ok := shortEscapes[r]; ok {
		all = append(all, short)
	}
	return all
}

var shortEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '/': `\/`, '\'': `\'`, '\a': `\a`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\v': `\v`,
}

// match returns where the longest match at the start of text ends, or 0, and whether more text could make or lengthen
// one. It follows all spellings at once: trying one after the other would take exponential time on "\\\\\\\\".
func (n needle) match(text string) (end int, more bool) {
	ends := []int{0}
	for _, char := range n.runes {
		var next []int
		for _, at := range ends {
			for _, spelling := range char {
				rest := text[at:]
				switch {
				case len(rest) < len(spelling):
					more = more || strings.EqualFold(rest, spelling[:len(rest)])
				case matches(rest[:len(spelling)], spelling) && !slices.Contains(next, at+len(spelling)):
					next = append(next, at+len(spelling))
				}
			}
		}
		if ends = next; len(ends) == 0 {
			return 0, more
		}
	}
	return slices.Max(ends), more
}

// matches ignores the case of the hexadecimal digits of an escape.
func matches(text, spelling string) bool {
	if text == spelling {
		return true
	}
	escape := len(spelling) > 2 && (spelling[0] == '%' || spelling[0] == '\\')
	return escape && text[0] == spelling[0] && strings.EqualFold(text, spelling)
}
