package release

import (
	"slices"
	"strings"
	"unicode"
)

// trailer is one trailer of a message: raw is how it stands there, its continuation lines included. A line of the block that
// is no trailer has no key.
type trailer struct{ raw, key, value string }

func (t trailer) isOurs() bool {
	key := strings.ToLower(t.key)
	return key == strings.ToLower(keySource) || strings.HasPrefix(key, "slipway-")
}

// split takes the trailer block off a message. The block is the last paragraph, never the first one, and holds trailers only,
// or some that git itself writes and not more than three times as many other lines.
func split(message string) (body string, block []trailer) {
	lines := strings.Split(strings.TrimRightFunc(message, unicode.IsSpace), "\n")
	start := len(lines)
	for start > 0 && !isBlank(lines[start-1]) {
		start--
	}
	if !slices.ContainsFunc(lines[:start], isBlank) {
		return message, nil
	}

	written, trailers, others := false, 0, 0
	for _, line := range lines[start:] {
		line = strings.TrimSuffix(line, "\r")
		key, value, ok := parseLine(line)
		switch {
		case strings.HasPrefix(line, "#"):
			block = append(block, trailer{raw: line})
		case ok, isWrittenByGit(line):
			trailers++
			written = written || isWrittenByGit(line)
			block = append(block, trailer{raw: line, key: key, value: value})
		case isIndented(line) && len(block) > 0 && block[len(block)-1].key != "":
			last := &block[len(block)-1]
			last.raw += "\n" + line
			last.value = strings.TrimSpace(last.value + " " + strings.TrimSpace(line))
		default:
			others++
			block = append(block, trailer{raw: line})
		}
	}
	if trailers == 0 || others > 0 && (!written || others > 3*trailers) {
		return message, nil
	}
	return strings.Join(lines[:start], "\n"), block
}

// parseLine reads "Key: value"; git allows spaces before the colon.
func parseLine(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, ":")
	key = strings.TrimRight(key, " \t")
	if !ok || key == "" || strings.ContainsFunc(key, func(r rune) bool { return !isKeyRune(r) }) {
		return "", "", false
	}
	return key, strings.TrimSpace(value), true
}

func isKeyRune(r rune) bool {
	return r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

func isWrittenByGit(line string) bool {
	return strings.HasPrefix(line, "Signed-off-by: ") || strings.HasPrefix(line, "(cherry picked from commit ")
}

func isIndented(line string) bool {
	return strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }
