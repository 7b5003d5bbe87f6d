package lint

import (
	"regexp"
	"strings"
	"sync"
)

// The parts of an image reference as container runtimes read them. The library for it compiles its expressions when a
// program starts, which every step would pay for.
const (
	hostPart  = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
	hostForm  = `(?:` + hostPart + `(?:\.` + hostPart + `)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?`
	pathPart  = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	imageName = `(?:` + hostForm + `/)?` + pathPart + `(?:/` + pathPart + `)*`
	tagForm   = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
)

var imageForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(` + imageName + `)(?::` + tagForm + `)?(?:@(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$`)
})

// maxImageName is what host and path of an image may have together.
const maxImageName = 255

// image checks an image reference as the kubelet will read it.
func (c *check) image(v value) {
	s, ok := v.v.(string)
	if !ok {
		return
	}
	parts := imageForm().FindStringSubmatch(s)
	switch {
	case s == "":
		c.add("image", v, "name an image, such as registry.example/app:1.2.3", "image is empty")
	case strings.Contains(s, "$"):
		c.add("image", v, "expand the variable before the manifest is written", "image %q contains a variable that nothing expands", s)
	case parts == nil:
		c.add("image", v, "use NAME:TAG or NAME@DIGEST with a lower-case name, such as registry.example/app:1.2.3", "image %q is no image reference", s)
	case len(parts[1]) > maxImageName:
		c.add("image", v, "shorten it", "image name has %d characters, the limit is %d", len(parts[1]), maxImageName)
	}
}
