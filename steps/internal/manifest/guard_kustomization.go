package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"slipway/steps/internal/failure"
)

// checker checks one kustomization file before kustomize sees it. It reads the file with kustomize's own decoder, so that
// spellings of keys, merged mappings and tags mean the same to both.
type checker struct {
	*guard
	file, dir string
	root      *yaml.Node
}

func (g *guard) checkKustomization(name string, data []byte) error {
	c := checker{g, name, path.Dir(name), &yaml.Node{}}
	if err := yaml.Unmarshal(data, c.root); err != nil {
		return failure.New(failure.Invalid, "correct the YAML", "%s: %w", name, err)
	}
	if again, before := givenTwice(c.root, true); again != nil {
		return failure.New(failure.Invalid, twiceHint, "%s:%d: %s is given twice, first in line %d", name, again.Line, again.Value, before.Line)
	}
	if err := c.texts(c.root); err != nil {
		return err
	}
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return failure.New(failure.Invalid, "correct the kustomization", "%s: %s", name, clean(err.Error()))
	}
	k.FixKustomization()
	if len(k.OpenAPI) > 0 {
		if g.schema = true; !g.exclusive {
			return errSchema
		}
	}
	for _, check := range []func(*types.Kustomization) error{c.helm, c.images, c.files, c.generators, c.bases, c.plugins} {
		if err := check(&k); err != nil {
			return err
		}
	}
	return nil
}

// errSchema ends a build that shares kustomize's global schema with others and may not.
var errSchema = errors.New("the kustomization brings its own schema")

// texts counts the nodes of the YAML within the texts of a kustomization: inline patches and plugins are parsed too.
func (c checker) texts(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && strings.ContainsAny(n.Value, "*[{\n") {
		return c.count(c.file, []byte(n.Value))
	}
	for _, child := range n.Content {
		if err := c.texts(child); err != nil {
			return err
		}
	}
	return nil
}

// refused returns the refusal of a text in a field; the line is that of the first such text.
func (c checker) refused(field, text, hint, format string, args ...any) error {
	at := c.file
	if line := lineOf(c.root, text); line > 0 {
		at = fmt.Sprintf("%s:%d", c.file, line)
	}
	return failure.New(failure.Invalid, hint, "%s: %s: %s", at, field, fmt.Sprintf(format, args...))
}

func lineOf(n *yaml.Node, text string) int {
	if n.Kind == yaml.ScalarNode && n.Value == text {
		return n.Line
	}
	for _, child := range n.Content {
		if line := lineOf(child, text); line > 0 {
			return line
		}
	}
	return 0
}

func (c checker) helm(k *types.Kustomization) error {
	if len(k.HelmCharts) > 0 || k.HelmGlobals != nil {
		return failure.New(failure.Invalid, "render the chart, commit the result and list it in resources",
			"%s: helmCharts would run the program helm and fetch charts", c.file)
	}
	return nil
}

func (c checker) images(k *types.Kustomization) error {
	for _, image := range k.Images {
		if _, err := regexp.Compile("^" + image.Name + "$"); err != nil {
			return c.refused("images", image.Name, "write the image's name as the manifests have it, without tag and digest",
				"%q is no image name", image.Name)
		}
	}
	return nil
}

// files checks the fields that name one file each.
func (c checker) files(k *types.Kustomization) error {
	check := func(field string, names ...string) error {
		for _, name := range names {
			if _, err := c.document(field, name); err != nil {
				return err
			}
		}
		return nil
	}
	errs := []error{check("crds", k.Crds...), check("configurations", k.Configurations...)}
	if name, ok := k.OpenAPI["path"]; ok {
		errs = append(errs, check("openapi.path", name))
	}
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) { //nolint:staticcheck // deprecated, and in use
		errs = append(errs, c.patch("patches", p.Patch))
		if p.Path != "" {
			errs = append(errs, check("patches", p.Path))
		}
	}
	for _, p := range k.PatchesStrategicMerge { //nolint:staticcheck // the same
		if isMapping(string(p)) {
			errs = append(errs, c.patch("patchesStrategicMerge", string(p)))
		} else {
			errs = append(errs, check("patchesStrategicMerge", string(p)))
		}
	}
	for _, r := range k.Replacements {
		if r.Path != "" {
			errs = append(errs, check("replacements", r.Path))
		}
	}
	return first(errs)
}

// patch checks a text that is a patch itself.
func (c checker) patch(field, text string) error {
	for _, doc := range documents([]byte(text)) {
		if again, before := givenTwice(doc, false); again != nil {
			return c.refused(field, text, twiceHint, "%s is given twice, in lines %d and %d of the patch", again.Value, before.Line, again.Line)
		}
	}
	return nil
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// isMapping tells inline YAML from the name of a file.
func isMapping(text string) bool {
	return slices.ContainsFunc(documents([]byte(text)), func(doc *yaml.Node) bool {
		return len(doc.Content) > 0 && doc.Content[0].Kind == yaml.MappingNode
	})
}

func (c checker) generators(k *types.Kustomization) error {
	check := func(field, kind string, args types.GeneratorArgs) error {
		c.origins = append(c.origins, origin{kind, args.Name, c.file})
		for _, name := range args.EnvSources {
			if err := c.opaque(field, name); err != nil {
				return err
			}
		}
		for _, source := range args.FileSources {
			if key, name, ok := strings.Cut(source, "="); ok && key != "" && name != "" && !isURL(source) {
				source = name
			}
			if err := c.opaque(field, source); err != nil {
				return err
			}
		}
		return nil
	}
	for _, m := range k.ConfigMapGenerator {
		if err := check("configMapGenerator", "ConfigMap", m.GeneratorArgs); err != nil {
			return err
		}
	}
	for _, s := range k.SecretGenerator {
		if err := check("secretGenerator", "Secret", s.GeneratorArgs); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) bases(k *types.Kustomization) error {
	for _, name := range k.Resources {
		info, err := c.local("resources", name)
		if err != nil {
			return err
		}
		if info.Dir {
			err = c.include("resources", name, info)
		} else {
			c.resources[info.Path], c.documents[info.Path] = true, true
			err = c.inside("resources", name, info)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range k.Components {
		info, err := c.local("components", name)
		if err != nil {
			return err
		}
		if !info.Dir {
			return c.refused("components", name, "list files in resources", "%s is a file, not the directory of a component", name)
		}
		if err := c.include("components", name, info); err != nil {
			return err
		}
	}
	return nil
}

// include notes that the kustomization includes another, which is refused where it would include itself.
func (c checker) include(field, name string, info Info) error {
	found, err := c.kustomizations(info.Path)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return c.refused(field, name, kustomizationHint, "%s has %d kustomization files", name, len(found))
	}
	if _, above := below(c.dir, info.Path); above && c.dir != info.Path {
		return c.refused(field, name, "include kustomizations beside or below this one", "%s contains this kustomization", name)
	}
	c.includes[c.dir] = append(c.includes[c.dir], info.Path)
	if c.reaches(info.Path, map[string]bool{}) {
		return c.refused(field, name, "break the cycle", "%s includes this kustomization again", name)
	}
	return nil
}

const kustomizationHint = "a directory needs exactly one of kustomization.yaml, kustomization.yml and Kustomization"

// kustomizations returns the kustomization files of a directory.
func (g *guard) kustomizations(dir string) (files []string, err error) {
	for _, known := range konfig.RecognizedKustomizationFileNames() {
		name := path.Join(dir, known)
		info, err := g.source.Stat(g.ctx, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil && !info.Dir {
			files = append(files, name)
		}
	}
	return files, nil
}

func (c checker) reaches(from string, seen map[string]bool) bool {
	if from == c.dir {
		return true
	}
	seen[from] = true
	return slices.ContainsFunc(c.includes[from], func(next string) bool { return !seen[next] && c.reaches(next, seen) })
}
