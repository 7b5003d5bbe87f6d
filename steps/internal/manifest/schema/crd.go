package schema

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
)

// CRD is the schemas of one custom resource definition, by version.
type CRD struct {
	Group string
	Kind  string

	versions map[string]*node
}

// maxCRDFile is several times the largest definition known, Argo CD's ApplicationSet with 1 MB.
const maxCRDFile = 8 << 20

// LoadCRDs reads the CustomResourceDefinitions in the YAML and JSON files below dir, in the order of their names; other
// objects in these files are left alone. The error names the file and the line.
func LoadCRDs(dir string) ([]CRD, error) {
	var crds []CRD
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml", ".json":
		default:
			return nil
		}
		found, err := loadCRDFile(path)
		crds = append(crds, found...)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure.New(failure.Usage, "name a directory that holds the definitions", "crds %s: no such directory", dir)
	}
	return crds, err
}

func loadCRDFile(path string) ([]CRD, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxCRDFile {
		return nil, errors.Join(err, invalidCRD(path, 1, "larger than %d bytes", maxCRDFile))
	}
	decoder := yaml.NewDecoder(f)
	var crds []CRD
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return crds, nil
		} else if err != nil {
			return nil, badYAML(path, err)
		}
		found, err := readDocument(path, &document)
		if err != nil {
			return nil, err
		}
		crds = append(crds, found...)
	}
}

func readDocument(path string, document *yaml.Node) ([]CRD, error) {
	var raw any
	if err := document.Decode(&raw); err != nil {
		return nil, badYAML(path, err)
	}
	object, _ := raw.(map[string]any)
	if object["kind"] != "CustomResourceDefinition" {
		return nil, nil
	}
	crd, err := parseCRD(object)
	if err != nil {
		line := document.Line
		if len(document.Content) > 0 {
			line = document.Content[0].Line
		}
		return nil, invalidCRD(path, line, "%w", err)
	}
	return []CRD{crd}, nil
}

// badYAML takes the line from the decoder's message, which begins with "yaml: line N: ".
func badYAML(path string, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line, found := 1, message
	if _, scanErr := fmt.Sscanf(message, "line %d:", &line); scanErr == nil {
		_, found, _ = strings.Cut(message, ": ")
	}
	return invalidCRD(path, line, "%s", found)
}

func invalidCRD(path string, line int, format string, args ...any) error {
	return failure.New(failure.Invalid, "repair the definition, or leave the file out of the directory",
		"crd %s:%d: %w", path, line, fmt.Errorf(format, args...))
}

// parseCRD reads a definition of apiextensions.k8s.io/v1, or of v1beta1 with its one schema for all versions.
func parseCRD(object map[string]any) (CRD, error) {
	spec, _ := object["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	crd := CRD{Group: text(spec["group"]), Kind: text(names["kind"]), versions: map[string]*node{}}
	if crd.Group == "" || crd.Kind == "" {
		return CRD{}, errors.New("spec.group and spec.names.kind are required")
	}
	versions, _ := spec["versions"].([]any)
	if len(versions) == 0 && text(spec["version"]) != "" {
		versions = []any{map[string]any{"name": spec["version"]}}
	}
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if version["served"] == false {
			continue
		}
		schema, _ := version["schema"].(map[string]any)
		if schema == nil {
			schema, _ = spec["validation"].(map[string]any)
		}
		root, _ := schema["openAPIV3Schema"].(map[string]any)
		crd.versions[text(version["name"])] = convertRoot(root, spec["preserveUnknownFields"] == true)
	}
	if len(crd.versions) == 0 {
		return CRD{}, fmt.Errorf("%s.%s serves no version", crd.Kind, crd.Group)
	}
	return crd, nil
}

// convertRoot converts the schema of a custom resource and adds what every object has: a CRD says at most that metadata is
// an object, and the server checks it all the same.
func convertRoot(raw map[string]any, open bool) *node {
	n := convert(raw, custom)
	if raw == nil || open {
		n.Open = true
	}
	n.Type = "object"
	if n.Fields == nil {
		n.Fields = map[string]*node{}
	}
	n.Fields["apiVersion"] = &node{Type: "string"}
	n.Fields["kind"] = &node{Type: "string"}
	n.Fields["metadata"] = &node{Ref: objectMetaName}
	return n
}
