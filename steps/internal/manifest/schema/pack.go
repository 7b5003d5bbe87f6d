package schema

import (
	"archive/zip"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// index is the table of contents of the embedded data. A definition is a line of a chunk; a chunk is a file of the archive.
type index struct {
	Versions []string `json:"versions"`
	// Definitions has, per name, the lines that hold it and the versions each is valid for.
	Definitions map[string][]span `json:"definitions"`
	// Kinds maps group/version/kind to a definition's name and the versions that serve it.
	Kinds map[string][]kindSpan `json:"kinds"`
	// Custom maps group/version/kind of the embedded CRDs to a reference.
	Custom map[string]string `json:"custom"`
}

// span is {first version, last version, line}; versions are positions in index.Versions.
type span [3]int

type kindSpan struct {
	First int    `json:"f"`
	Last  int    `json:"l"`
	Name  string `json:"n"`
}

const indexFile = "index.json"

// Release is the OpenAPI documents of one Kubernetes version.
type Release struct {
	Version   string
	Documents []map[string]any
}

type packer struct {
	index  index
	chunks map[string]*chunk
}

type chunk struct {
	lines  []string
	byText map[string]int
}

// Pack writes the archive that this package embeds: the schemas of releases, given from the oldest to the newest, and of
// crds (which it takes apart), each distinct definition once. Only the generator calls it.
func Pack(w io.Writer, releases []Release, crds []CRD) error {
	p := packer{
		index:  index{Definitions: map[string][]span{}, Kinds: map[string][]kindSpan{}, Custom: map[string]string{}},
		chunks: map[string]*chunk{},
	}
	for i, release := range releases {
		p.index.Versions = append(p.index.Versions, release.Version)
		if err := p.addRelease(i, release); err != nil {
			return fmt.Errorf("kubernetes %s: %w", release.Version, err)
		}
	}
	for _, crd := range crds {
		for _, version := range slices.Sorted(maps.Keys(crd.versions)) {
			n := crd.versions[version]
			root, err := p.share("crd."+crd.Group, n)
			if err == nil && root.Ref == "" {
				root, err = p.reference("crd."+crd.Group, root)
			}
			if err != nil {
				return err
			}
			p.index.Custom[crd.Group+"/"+version+"/"+crd.Kind] = root.Ref
		}
	}
	return p.write(w)
}

func (p *packer) addRelease(version int, release Release) error {
	seen := map[string]bool{}
	for _, document := range release.Documents {
		components, _ := document["components"].(map[string]any)
		schemas, _ := components["schemas"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(schemas)) {
			raw, _ := schemas[name].(map[string]any)
			if seen[name] {
				continue
			}
			seen[name] = true
			if err := p.addDefinition(version, name, raw); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func (p *packer) addDefinition(version int, name string, raw map[string]any) error {
	line, err := p.line(chunkOf(name), convertDefinition(name, raw))
	if err != nil {
		return err
	}
	spans := p.index.Definitions[name]
	if last := len(spans) - 1; last >= 0 && spans[last][1] == version-1 && spans[last][2] == line {
		spans[last][1] = version
	} else {
		p.index.Definitions[name] = append(spans, span{version, version, line})
	}

	kinds, _ := raw["x-kubernetes-group-version-kind"].([]any)
	if len(kinds) != 1 { // DeleteOptions, Status and the like, which have every group and are no objects
		return nil
	}
	k, _ := kinds[0].(map[string]any)
	key := text(k["group"]) + "/" + text(k["version"]) + "/" + text(k["kind"])
	served := p.index.Kinds[key]
	if last := len(served) - 1; last >= 0 && served[last].Last == version-1 && served[last].Name == name {
		served[last].Last = version
	} else {
		p.index.Kinds[key] = append(served, kindSpan{First: version, Last: version, Name: name})
	}
	return nil
}

// chunkOf returns the file that holds a definition: one per package without its version, so that an object opens few.
func chunkOf(name string) string {
	parts := strings.Split(name, ".")
	if len(parts) < 3 {
		return name
	}
	return strings.Join(parts[:len(parts)-2], ".")
}

// share returns n with its larger parts moved to lines of their own: they repeat a lot, and most objects need few.
func (p *packer) share(chunk string, n *node) (*node, error) {
	if n == nil {
		return nil, nil
	}
	var err error
	for _, name := range slices.Sorted(maps.Keys(n.Fields)) {
		if n.Fields[name], err = p.share(chunk, n.Fields[name]); err != nil {
			return nil, err
		}
	}
	if n.Items, err = p.share(chunk, n.Items); err != nil {
		return nil, err
	}
	if n.Values, err = p.share(chunk, n.Values); err != nil {
		return nil, err
	}
	if len(n.Fields) < 3 {
		return n, nil
	}
	return p.reference(chunk, n)
}

func (p *packer) reference(chunk string, n *node) (*node, error) {
	line, err := p.line(chunk, n)
	return &node{Ref: chunk + "#" + strconv.Itoa(line)}, err
}

// line returns the line of a chunk that holds n, which is added unless it is there.
func (p *packer) line(name string, n *node) (int, error) {
	data, err := json.Marshal(n)
	if err != nil {
		return 0, err
	}
	c := p.chunks[name]
	if c == nil {
		c = &chunk{byText: map[string]int{}}
		p.chunks[name] = c
	}
	line, ok := c.byText[string(data)]
	if !ok {
		line = len(c.lines)
		c.lines = append(c.lines, string(data))
		c.byText[string(data)] = line
	}
	return line, nil
}

func (p *packer) write(w io.Writer) error {
	contents, err := json.Marshal(p.index)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	if err := writeFile(archive, indexFile, contents); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.chunks)) {
		if err := writeFile(archive, name, []byte(strings.Join(p.chunks[name].lines, "\n"))); err != nil {
			return err
		}
	}
	return archive.Close()
}

func writeFile(archive *zip.Writer, name string, data []byte) error {
	f, err := archive.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return err
}
