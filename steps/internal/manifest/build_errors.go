package manifest

import (
	"regexp"
	"strconv"
	"strings"

	"slipway/steps/internal/failure"
)

// invalid says in our words what kustomize found wrong.
func invalid(dir string, err error) error {
	text := clean(err.Error())
	hint := "correct the kustomization; kustomize build says the same"
	for _, known := range []struct{ part, hint string }{
		{"may not add resource with an already registered id", "remove one of the two, or give one another name or namespace"},
		{"accumulated size increase of copy", "look for a patch that copies what it has copied"},
		{"no matches for Id", "correct the kind and the name in the patch; it must name an object of this kustomization"},
		{": yaml: ", "correct the YAML"},
		{"cycle detected", "include kustomizations beside or below this one"},
		{"expected kind", "list components in components and kustomizations in resources"},
	} {
		if strings.Contains(text, known.part) {
			hint = known.hint
			break
		}
	}
	return failure.New(failure.Invalid, hint, "%s: %s", dir, text)
}

// What kustomize puts around an error on its way up. It tries each resource as a file and then as a directory; for a file
// the second complaint is noise, for a directory the first one is.
var (
	asFile   = regexp.MustCompile(`^accumulation err='(.*)': must build at directory: .*$`)
	wrappers = regexp.MustCompile(`^(accumulating (resources|components): |accumulation err='.*?' must resolve to a file': |` +
		`recursed (accumulation of|merging from) path '[^']*': |accumulateDirectory: )`)
	inFile    = regexp.MustCompile(`^(?:accumulating|merging) resources from '([^']*)': `)
	malformed = regexp.MustCompile(`^(?:[^:]*: )?MalformedYAMLError: (.*) in File: (\S+)$`)
)

// clean takes the place of the build out of a text of kustomize's, its wrappers, and all but the beginning.
func clean(text string) string {
	text = strings.ReplaceAll(text, tree+"/", "")
	text = strings.ReplaceAll(text, tree, ".")
	text = strings.Join(strings.Fields(text), " ")
	for before := ""; before != text; {
		before = text
		if unquoted, err := strconv.Unquote(text); err == nil {
			text = unquoted
		}
		text = wrappers.ReplaceAllString(asFile.ReplaceAllString(text, "$1"), "")
	}
	text = malformed.ReplaceAllString(inFile.ReplaceAllString(text, "$1: "), "$2: $1")
	const most = 500
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " ..."
	}
	return text
}
