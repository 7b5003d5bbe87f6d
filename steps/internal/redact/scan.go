package redact

import "strings"

// scan masks secrets from the left, at each place the longest. Unless the text is final it stops where a secret may
// have begun that more text would complete, and returns the rest: what was written in pieces comes out as if it had
// been written at once.
func (r *Redactor) scan(text string, final bool) (masked, rest string) {
	var out strings.Builder
	for at := 0; at < len(text); {
		end, more := r.longest(text[at:])
		if more && !final {
			return out.String(), text[at:]
		}
		if end > 0 {
			out.WriteString(Mask)
			at += end
			continue
		}
		start, end, more := urlSecret(text[at:])
		if more && !final {
			return out.String(), text[at:]
		}
		if end > 0 {
			before, _ := r.scan(text[at+1:at+start], true)
			out.WriteString(text[at:at+1] + before)
			out.WriteString(Mask)
			at += end
			continue
		}
		out.WriteByte(text[at])
		at++
	}
	return out.String(), ""
}

// longest returns where the longest secret at the start of text ends, or 0, and whether more text could change that.
func (r *Redactor) longest(text string) (end int, more bool) {
	if !r.starts[text[0]] {
		return 0, false
	}
	escaped := text[0] == '%' || text[0] == '\\'
	for _, n := range r.needles {
		if !escaped && text[0] != n.first {
			continue
		}
		e, m := n.match(text)
		end, more = max(end, e), more || m
	}
	return end, more
}

// urlSecret finds the secret in a URL's user information if text starts with "://" (the password) or with "https://" or
// "http://" (the password, or a user name alone, which over HTTP is a token; over SSH it is only "git").
func urlSecret(text string) (start, end int, more bool) {
	for _, prefix := range []string{"https://", "http://", "://"} {
		if strings.HasPrefix(prefix, text) {
			more = true
		}
		authority, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		stop := strings.IndexAny(authority, " \t\r\n/\\\"'`<>?#")
		if stop < 0 {
			stop, more = len(authority), true
		}
		at := strings.LastIndexByte(authority[:stop], '@')
		colon := strings.IndexByte(authority[:max(at, 0)], ':')
		switch {
		case colon >= 0 && colon+1 < at:
			return len(prefix) + colon + 1, len(prefix) + at, more
		case colon < 0 && at > 0 && prefix != "://":
			return len(prefix), len(prefix) + at, more
		}
		return 0, 0, more
	}
	return 0, 0, more
}
