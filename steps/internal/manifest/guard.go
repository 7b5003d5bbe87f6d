package manifest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/steps/internal/failure"
)

// tree is where kustomize sees the root of the repository. It is not "/", because what climbs out of that arrives there
// again.
const tree = "/repository"

// guard is the file system that kustomize sees. It remembers the first refusal, because kustomize takes some errors for
// the absence of a file and goes on. One guard serves one build.
type guard struct {
	ctx    context.Context // kustomize passes none
	source Source
	limits Limits
	refusal
	uses

	exclusive bool // this build has kustomize's global schema to itself
	schema    bool // a kustomization brings its own schema
	read      int64
	nodes     int
}

// uses is what the kustomizations that were read say about the other files.
type uses struct {
	data      map[string]bool // files whose content is opaque
	documents map[string]bool // files that are parsed
	resources map[string]bool // files whose objects are rendered
	links     map[string]bool // files that a symlink makes a kustomization
	includes  map[string][]string
	origins   []origin
}

type refusal struct{ first error }

// refuse keeps an error unless it only says that something is absent, which kustomize asks for all the time.
func (r *refusal) refuse(err error) error {
	if err != nil && r.first == nil && !errors.Is(err, fs.ErrNotExist) {
		r.first = err
	}
	return err
}

func newGuard(ctx context.Context, s Source, l Limits) *guard {
	return &guard{ctx: ctx, source: remembered{s, map[string]Info{}, map[string]error{}}, limits: l, uses: uses{
		data: map[string]bool{}, documents: map[string]bool{}, resources: map[string]bool{}, links: map[string]bool{}, includes: map[string][]string{},
	}}
}

// name returns the name within the repository of what kustomize calls file.
func (g *guard) name(file string) (string, error) {
	if file == tree {
		return ".", nil
	}
	name, inside := strings.CutPrefix(filepath.ToSlash(filepath.Clean(file)), tree+"/")
	if !inside {
		return "", g.refuse(outside(file))
	}
	return name, nil
}

func (g *guard) stat(file string) (Info, error) {
	name, err := g.name(file)
	if err != nil {
		return Info{}, err
	}
	info, err := g.source.Stat(g.ctx, name)
	return info, g.refuse(err)
}

// ReadFile is the only way by which content reaches kustomize.
func (g *guard) ReadFile(file string) ([]byte, error) {
	name, err := g.name(file)
	if err != nil {
		return nil, err
	}
	data, err := g.load(name)
	if err == nil && (isKustomization(name) || g.links[name]) {
		err = g.checkKustomization(name, data)
	}
	if err != nil {
		return nil, g.refuse(err)
	}
	return data, nil
}

func isKustomization(name string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(name))
}

// load reads a file within the limits.
func (g *guard) load(name string) ([]byte, error) {
	if err := g.ctx.Err(); err != nil {
		return nil, err
	}
	info, err := g.source.Stat(g.ctx, name)
	if err != nil {
		return nil, err
	}
	if info.Size > g.limits.File {
		return nil, g.tooLarge(name)
	}
	data, err := g.source.ReadFile(g.ctx, name)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > g.limits.File {
		return nil, g.tooLarge(name)
	}
	if g.read += int64(len(data)); g.read > g.limits.Total {
		return nil, failure.New(failure.Invalid, "split the kustomization",
			"%s: the build reads more than %d bytes", name, g.limits.Total)
	}
	if g.data[name] && !g.documents[name] {
		return data, nil
	}
	return data, g.count(name, data)
}

func (g *guard) tooLarge(name string) error {
	return failure.New(failure.Invalid, "the API server would refuse it too; keep large files out of manifests",
		"%s: larger than %d bytes", name, g.limits.File)
}

// separators is where kustomize cuts a file into documents that it parses one by one.
var separators = regexp.MustCompile(`\n---.*\n`)

// maxDepth is far beyond real manifests, of which the deepest are schemas, and far below what exhausts a stack.
const maxDepth = 1000

// count adds up the nodes of a YAML file as they are once all aliases are expanded, without expanding them. What is no YAML
// has none: either kustomize does not parse it, or it fails as it did here.
func (g *guard) count(name string, data []byte) error {
	tooMany := failure.New(failure.Invalid, "expand what the anchors stand for, or split the file",
		"%s: more than %d YAML nodes in this build once aliases are expanded", name, g.limits.Nodes)
	// The parser itself makes a node of each of these.
	if n := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte(",")) + bytes.Count(data, []byte("- ")); n > g.limits.Nodes {
		return tooMany
	}
	for _, doc := range documents(data) {
		size := measure{known: map[*yaml.Node]extent{}, limit: g.limits.Nodes}
		e := size.of(doc)
		if e.depth > maxDepth {
			return failure.New(failure.Invalid, "flatten it", "%s: nested deeper than %d levels", name, maxDepth)
		}
		if g.nodes += e.nodes; g.nodes > g.limits.Nodes {
			return tooMany
		}
		if again, before := givenTwice(doc, false); again != nil && g.documents[name] {
			return failure.New(failure.Invalid, twiceHint, "%s:%d: %s is given twice, first in line %d", name, again.Line, again.Value, before.Line)
		}
		if g.resources[name] {
			g.origins = append(g.origins, originsOf(name, doc)...)
		}
	}
	return nil
}

// documents parses what can be parsed of a file.
func documents(data []byte) (docs []*yaml.Node) {
	above := 0 // lines
	for _, part := range separators.Split(string(data), -1) {
		decoder := yaml.NewDecoder(strings.NewReader(part))
		for {
			doc := &yaml.Node{}
			if decoder.Decode(doc) != nil {
				break
			}
			moveDown(doc, above)
			docs = append(docs, doc)
		}
		above += strings.Count(part, "\n") + 2
	}
	return docs
}

func moveDown(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		moveDown(c, lines)
	}
}

const twiceHint = "merge the two, or remove one"

// givenTwice finds a key that a mapping has twice, and where it was before. Kustomize takes the last one and says nothing,
// or refuses it without a place. It does not distinguish the case of the fields of a kustomization.
func givenTwice(n *yaml.Node, fields bool) (again, before *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		keys := map[string]*yaml.Node{}
		for i := 0; i < len(n.Content); i += 2 {
			key, text := n.Content[i], n.Content[i].Value
			if fields {
				text = strings.ToLower(text)
			}
			if keys[text] != nil {
				return key, keys[text]
			}
			keys[text] = key
		}
		fields = false
	}
	for _, child := range n.Content {
		if again, before = givenTwice(child, fields); again != nil {
			break
		}
	}
	return again, before
}

type extent struct{ nodes, depth int }

// measure knows the extents of the anchors that it has seen, so that it visits each node once.
type measure struct {
	known map[*yaml.Node]extent
	limit int
}

func (m measure) of(n *yaml.Node) extent {
	if n.Kind == yaml.AliasNode {
		return m.of(n.Alias)
	}
	if e, ok := m.known[n]; ok {
		return e
	}
	if n.Anchor != "" {
		m.known[n] = extent{m.limit + 1, maxDepth + 1} // until it is known: an anchor that contains itself has no end
	}
	e := extent{nodes: 1}
	for _, c := range n.Content {
		inner := m.of(c)
		e.nodes, e.depth = min(e.nodes+inner.nodes, m.limit+1), max(e.depth, inner.depth)
	}
	e.depth++
	if n.Anchor != "" {
		m.known[n] = e
	}
	return e
}
