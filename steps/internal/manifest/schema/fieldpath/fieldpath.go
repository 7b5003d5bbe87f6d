// Package fieldpath writes the place of a value in an object the one way that schema and lint report it:
// spec.template.spec.containers[0].image, data["tls.crt"].
package fieldpath

import (
	"strconv"
	"strings"
)

// Path is a place in an object. A nil Path is the object itself.
type Path struct {
	up    *Path
	key   string
	index int
}

// Key returns the place of a field below p.
func (p *Path) Key(key string) *Path { return &Path{up: p, key: key, index: -1} }

// Keys returns the place reached from p through several fields.
func (p *Path) Keys(keys ...string) *Path {
	for _, key := range keys {
		p = p.Key(key)
	}
	return p
}

// Index returns the place of an item of the list at p.
func (p *Path) Index(i int) *Path { return &Path{up: p, index: i} }

// String returns the path; keys that are not plain words are in brackets and quotes.
func (p *Path) String() string {
	var b strings.Builder
	p.write(&b)
	return b.String()
}

func (p *Path) write(b *strings.Builder) {
	if p == nil {
		return
	}
	p.up.write(b)
	switch {
	case p.index >= 0:
		b.WriteString("[" + strconv.Itoa(p.index) + "]")
	case !plain(p.key):
		b.WriteString("[" + strconv.Quote(p.key) + "]")
	case p.up == nil:
		b.WriteString(p.key)
	default:
		b.WriteString("." + p.key)
	}
}

func plain(key string) bool {
	for _, r := range key {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && r != '_' && r != '$' {
			return false
		}
	}
	return key != ""
}
