package gitrepo

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// lfsPointerTo returns the pointer that Git LFS would store for contents, in the form of an existing pointer: its version
// line, then the oid and the size.
func lfsPointerTo(pointer, contents []byte) []byte {
	version, _, _ := strings.Cut(string(pointer), "\n")
	return fmt.Appendf(nil, "%s\noid sha256:%x\nsize %d\n", version, sha256.Sum256(contents), len(contents))
}
