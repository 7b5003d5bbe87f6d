// Package redact keeps secrets out of everything that slipway prints or writes: the words it was told, in every form
// in which they usually escape, and the passwords of URLs, told or not. It imports nothing of slipway.
package redact

import (
	"encoding/base64"
	"strings"
	"sync"
)

// Mask stands where a secret was.
const Mask = "***"

// minLength is the length below which a word is no secret: masking each "dev" or "1" would destroy the log and protect
// nothing.
const minLength = 4

// Redactor knows the secrets of one run. Its methods may be called from several goroutines.
type Redactor struct {
	mu      sync.RWMutex
	needles []needle
	known   map[string]bool
	// starts are the bytes with which a match may start; it spares nearly all of a long text a closer look.
	starts [256]bool
}

// New returns a Redactor that knows no secret yet; it masks only the passwords of URLs.
func New() *Redactor { return &Redactor{known: map[string]bool{}} }

// Add makes words secret from now on. Surrounding white space does not count; words of fewer than four bytes are
// ignored. Next to the word itself its base64 forms are covered, also inside of a longer text such as "user:secret", and
// each form also with some or all of its characters escaped as in URLs, in JSON or in Go syntax.
func (r *Redactor) Add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		if len(secret) < minLength {
			continue
		}
		for _, form := range append(base64Forms(secret), secret) {
			if len(form) >= minLength && !r.known[form] {
				r.known[form] = true
				r.needles = append(r.needles, newNeedle(form))
				r.starts[form[0]] = true
				r.starts['%'], r.starts['\\'] = true, true
			}
		}
	}
}

// String returns s with every secret replaced by Mask.
func (r *Redactor) String(s string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	masked, _ := r.scan(s, true)
	return masked
}

// base64Forms returns how secret looks in base64: on its own, and the characters that it alone decides where it stands
// at each of the three alignments in a longer text.
func base64Forms(secret string) []string {
	var forms []string
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		raw := encoding.WithPadding(base64.NoPadding)
		forms = append(forms, encoding.EncodeToString([]byte(secret)), raw.EncodeToString([]byte(secret)))
		for before, shared := range []int{0, 2, 3} {
			inner := raw.EncodeToString(append(make([]byte, before), secret...))
			if (before+len(secret))%3 != 0 {
				inner = inner[:len(inner)-1]
			}
			forms = append(forms, inner[shared:])
		}
	}
	return forms
}
