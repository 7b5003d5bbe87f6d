package schema

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

//go:embed schemas.zip
var embedded []byte

var embeddedStore = sync.OnceValues(func() (*store, error) { return openStore(embedded) })

// store reads an archive that Pack wrote: the index when it is opened, a chunk when the first definition in it is needed,
// and of a chunk only the lines that are asked for. It may be used by many goroutines.
type store struct {
	index   index
	archive *zip.Reader

	mu     sync.Mutex
	chunks map[string][]string
	nodes  map[string]*node
}

func openStore(data []byte) (*store, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("embedded schemas: %w", err)
	}
	s := &store{archive: archive, chunks: map[string][]string{}, nodes: map[string]*node{}}
	contents, err := s.read(indexFile)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(contents, &s.index); err != nil {
		return nil, fmt.Errorf("embedded schemas: %s: %w", indexFile, err)
	}
	return s, nil
}

func (s *store) read(name string) ([]byte, error) {
	f, err := s.archive.Open(name)
	if err != nil {
		return nil, fmt.Errorf("embedded schemas: %w", err)
	}
	data, err := io.ReadAll(f)
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("embedded schemas: %s: %w", name, err)
	}
	return data, err
}

// named returns the schema of a definition as it is in a version, or nil.
func (s *store) named(version int, name string) *node {
	for _, span := range s.index.Definitions[name] {
		if span[0] <= version && version <= span[1] {
			return s.at(chunkOf(name) + "#" + strconv.Itoa(span[2]))
		}
	}
	return nil
}

// at returns the schema on a line of a chunk, or nil.
func (s *store) at(ref string) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.nodes[ref]; ok {
		return n
	}
	n := s.parse(ref)
	s.nodes[ref] = n
	return n
}

func (s *store) parse(ref string) *node {
	name, line, _ := strings.Cut(ref, "#")
	lines, ok := s.chunks[name]
	if !ok {
		if data, err := s.read(name); err == nil {
			lines = strings.Split(string(data), "\n")
		}
		s.chunks[name] = lines
	}
	i, err := strconv.Atoi(line)
	if err != nil || i >= len(lines) {
		return nil
	}
	n := &node{}
	if json.Unmarshal([]byte(lines[i]), n) != nil {
		return nil
	}
	return n
}
