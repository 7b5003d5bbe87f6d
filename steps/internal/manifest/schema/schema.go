// Package schema validates objects against the schemas of Kubernetes 1.23 and later, of Argo CD's and KubeSphere's custom
// resources, and of the user's own CRDs, without a network and without anything on disk.
//
// The schemas are in schemas.zip: what the generator left of the API servers' OpenAPI documents, each distinct definition
// once, with a table per version. Nothing is read before New; after that only the definitions that an object touches are
// parsed. The objects are walked by code of our own instead of a JSON Schema library: Kubernetes uses a dozen keywords, the
// walk compiles nothing (a library has to compile a whole Deployment, some three hundred schemas, for one object), treats
// null as the API server does, and words its findings for people.
//
// CEL rules (x-kubernetes-validations) are not evaluated.
package schema

import (
	"fmt"
	"slices"
	"strings"

	"slipway/steps/internal/failure"
)

// Problem is one reason for which the API server would refuse an object. Path is empty when it is the whole object; Fix says
// what to do.
type Problem struct {
	Path    string
	Message string
	Fix     string
}

// Set is the schemas of one Kubernetes version and of custom resources. It may be used by many goroutines.
type Set struct {
	store   *store
	version int
	extra   map[string]*node
}

// Versions returns the Kubernetes versions whose schemas are embedded, the oldest first, such as 1.30.
func Versions() []string {
	s, err := embeddedStore()
	if err != nil {
		return nil
	}
	return slices.Clone(s.index.Versions)
}

// New returns the schemas of a Kubernetes version ("1.30", "v1.30.4"; "" is the newest) with those of the embedded and the
// given CRDs; a given one replaces an embedded one of the same kind and version.
func New(version string, extra ...CRD) (*Set, error) {
	s, err := embeddedStore()
	if err != nil {
		return nil, err
	}
	return newSet(s, version, extra)
}

func newSet(s *store, version string, extra []CRD) (*Set, error) {
	position := len(s.index.Versions) - 1
	if version != "" {
		position = slices.Index(s.index.Versions, minor(version))
	}
	if position < 0 {
		return nil, failure.New(failure.Usage, "use one of "+strings.Join(s.index.Versions, ", "),
			"kubernetes version %q: no schemas for it", version)
	}
	set := &Set{store: s, version: position, extra: map[string]*node{}}
	for _, crd := range extra {
		for name, n := range crd.versions {
			set.extra[crd.Group+"/"+name+"/"+crd.Kind] = n
		}
	}
	return set, nil
}

// minor cuts "v1.30.4" down to "1.30".
func minor(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// Validate returns what the API server would refuse in an object as it was decoded from JSON or YAML. known is false when
// there is no schema for its kind; the only problem then says so, and the caller decides what that means.
func (s *Set) Validate(object map[string]any) (problems []Problem, known bool) {
	apiVersion, kind := text(object["apiVersion"]), text(object["kind"])
	if apiVersion == "" || kind == "" {
		return missingType(object), false
	}
	group, version := splitGroup(apiVersion)
	n := s.schemaOf(group + "/" + version + "/" + kind)
	if n == nil {
		return s.explainUnknown(group, version, kind)
	}
	w := walk{set: s}
	w.object(nil, n, object)
	return w.problems, true
}

func missingType(object map[string]any) []Problem {
	var problems []Problem
	for _, field := range []string{"apiVersion", "kind"} {
		if text(object[field]) == "" {
			problems = append(problems, Problem{Path: field, Message: "required field is missing", Fix: "every object needs apiVersion and kind"})
		}
	}
	return problems
}

func splitGroup(apiVersion string) (group, version string) {
	if group, version, ok := strings.Cut(apiVersion, "/"); ok {
		return group, version
	}
	return "", apiVersion
}

func joinGroup(group, version string) string {
	if group == "" {
		return version
	}
	return group + "/" + version
}

func (s *Set) schemaOf(key string) *node {
	if n, ok := s.extra[key]; ok {
		return n
	}
	for _, k := range s.store.index.Kinds[key] {
		if k.First <= s.version && s.version <= k.Last {
			return s.store.named(s.version, k.Name)
		}
	}
	if ref, ok := s.store.index.Custom[key]; ok {
		return s.store.at(ref)
	}
	return nil
}

// resolve follows references; nil when one leads nowhere, which accepts everything.
func (s *Set) resolve(n *node) *node {
	for n != nil && n.Ref != "" {
		if strings.Contains(n.Ref, "#") {
			n = s.store.at(n.Ref)
		} else {
			n = s.store.named(s.version, n.Ref)
		}
	}
	return n
}

// explainUnknown says why a kind has no schema: the version removed it, does not have it yet, or nobody knows it.
func (s *Set) explainUnknown(group, version, kind string) ([]Problem, bool) {
	what := joinGroup(group, version) + " " + kind
	current := s.store.index.Versions[s.version]
	if gone, ok := removedBefore[what]; ok {
		return problem("apiVersion", what+" was removed in "+gone.release, useInstead(gone.use)), true
	}
	if served := s.store.index.Kinds[group+"/"+version+"/"+kind]; len(served) > 0 {
		if last := served[len(served)-1].Last; last < s.version {
			return problem("apiVersion", what+" was removed in "+s.store.index.Versions[last+1], useInstead(s.replacement(group, kind))), true
		}
		first := s.store.index.Versions[served[0].First]
		return problem("apiVersion", fmt.Sprintf("%s is served from Kubernetes %s on, not by %s", what, first, current),
			useInstead(s.replacement(group, kind))), true
	}
	if use := s.replacement(group, kind); use != "" {
		return problem("apiVersion", what+" is not known to Kubernetes "+current, useInstead(use)), false
	}
	if name := nearest(kind, s.kindsOf(group, version)); name != "" {
		return problem("kind", "unknown kind "+what, "did you mean "+name+"?"), false
	}
	return problem("kind", "no schema for "+what, "give its CustomResourceDefinition, or say that the group is to be ignored"), false
}

func problem(path, message, fix string) []Problem {
	return []Problem{{Path: path, Message: message, Fix: fix}}
}

func useInstead(replacement string) string {
	if replacement == "" {
		return "remove the object: nothing replaces it"
	}
	return "use " + replacement
}

// replacement returns the most stable version of the group that serves the kind, or "".
func (s *Set) replacement(group, kind string) string {
	best := ""
	for _, key := range s.keys() {
		if g, rest, _ := strings.Cut(key, "/"); g == group && strings.HasSuffix(rest, "/"+kind) && s.schemaOf(key) != nil {
			version := strings.TrimSuffix(rest, "/"+kind)
			if best == "" || moreStable(version, best) {
				best = version
			}
		}
	}
	if best == "" {
		return ""
	}
	return joinGroup(group, best)
}

func (s *Set) kindsOf(group, version string) []string {
	var kinds []string
	for _, key := range s.keys() {
		if kind, ok := strings.CutPrefix(key, group+"/"+version+"/"); ok && s.schemaOf(key) != nil {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// keys returns group/version/kind of everything that some version knows, in order.
func (s *Set) keys() []string {
	var keys []string
	for key := range s.store.index.Kinds {
		keys = append(keys, key)
	}
	for key := range s.store.index.Custom {
		keys = append(keys, key)
	}
	for key := range s.extra {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// moreStable says whether API version a (v1, v2beta2) comes before b: stable before beta before alpha, then the higher.
func moreStable(a, b string) bool {
	if x, y := stability(a), stability(b); x != y {
		return x > y
	}
	return a > b
}

func stability(version string) int {
	switch {
	case strings.Contains(version, "alpha"):
		return 0
	case strings.Contains(version, "beta"):
		return 1
	default:
		return 2
	}
}
