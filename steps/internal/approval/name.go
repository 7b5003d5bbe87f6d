package approval

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// The name of a record is its id, made fit for a component of a ref and for a file: at most so many bytes for what comes before
// the last @, and for the revision behind it.
const (
	maxSubject  = 130
	maxRevision = 66
)

// name returns the name under which a record is stored. No two ids have the same one.
func name(id string) string {
	subject, revision, found := cutID(id)
	if !found {
		return cmp.Or(component(subject, maxSubject), "%") // not even nothing may be called nothing
	}
	return component(subject, maxSubject) + "@" + component(revision, maxRevision)
}

// siblings returns what the names of all records begin with that ask about the same path or application, and only they.
func siblings(id string) string {
	subject, _, _ := cutID(id)
	return component(subject, maxSubject) + "@"
}

func cutID(id string) (subject, revision string, found bool) {
	if i := strings.LastIndexByte(id, '@'); i >= 0 {
		return id[:i], id[i+1:], true
	}
	return id, "", false
}

// component percent-encodes what git check-ref-format refuses, or a shell, a URL or a pattern takes for something else. What
// is too long ends in a hash of the whole.
func component(text string, limit int) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if isPlain(c) || strings.IndexByte("_-=+,@", c) >= 0 || c == '.' && isInnerDot(text, i) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= limit {
		return b.String()
	}
	// A percent sign that no hexadecimal digits follow is in no other name.
	sum := sha256.Sum256([]byte(text))
	tail := "%-" + hex.EncodeToString(sum[:16])
	return b.String()[:limit-len(tail)] + tail
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isInnerDot says whether a dot is one that refs may have: not at either end, not next to another, not that of ".lock".
func isInnerDot(text string, i int) bool {
	return i > 0 && i < len(text)-1 && isPlain(text[i-1]) && isPlain(text[i+1]) && text[i:] != ".lock"
}
