package manifest

import (
	"path"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"slipway/steps/internal/failure"
)

// plugins checks generators, transformers and validators: inline texts, files, or directories of files. Only kustomize's
// builtin ones run, and their configuration may name files as a kustomization does.
func (c checker) plugins(k *types.Kustomization) error {
	for _, list := range []struct {
		field   string
		entries []string
	}{{"generators", k.Generators}, {"transformers", k.Transformers}, {"validators", k.Validators}} {
		for _, entry := range list.entries {
			var err error
			if isMapping(entry) && !isURL(entry) && !isGit(entry) {
				err = c.plugin(list.field, c.file, []byte(entry))
			} else {
				err = c.pluginFile(list.field, entry)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c checker) pluginFile(field, name string) error {
	info, err := c.local(field, name)
	if err != nil {
		return err
	}
	if info.Dir {
		return c.pluginDirectory(field, name, info)
	}
	if err := c.inside(field, name, info); err != nil {
		return err
	}
	c.documents[info.Path] = true
	data, err := c.load(info.Path)
	if err != nil {
		return err
	}
	return c.plugin(field, info.Path, data)
}

// pluginDirectory checks a kustomization that renders plugins. It may only list them: what it could change about them
// would be known only after they were loaded.
func (c checker) pluginDirectory(field, name string, info Info) error {
	if err := c.include(field, name, info); err != nil {
		return err
	}
	files, err := c.kustomizations(info.Path)
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := c.load(file)
		if err != nil {
			return err
		}
		var k types.Kustomization
		if err := k.Unmarshal(data); err != nil {
			return failure.New(failure.Invalid, "correct the kustomization", "%s: %s", file, clean(err.Error()))
		}
		k.FixKustomization()
		if !reflect.DeepEqual(k, types.Kustomization{TypeMeta: k.TypeMeta, MetaData: k.MetaData, Resources: k.Resources}) {
			return failure.New(failure.Invalid, "list the files of the plugins in resources, and change them there",
				"%s: a kustomization of %s may only list resources", file, field)
		}
		inner := checker{c.guard, file, info.Path, &yaml.Node{}}
		if err := yaml.Unmarshal(data, inner.root); err != nil {
			return failure.New(failure.Invalid, "correct the YAML", "%s: %w", file, err)
		}
		for _, resource := range k.Resources {
			if err := inner.pluginFile(field, resource); err != nil {
				return err
			}
		}
	}
	return nil
}

// plugin checks the configuration of plugins.
func (c checker) plugin(field, file string, data []byte) error {
	for _, doc := range documents(data) {
		var value any
		if err := doc.Decode(&value); err != nil {
			return failure.New(failure.Invalid, "correct the YAML", "%s: %w", file, err)
		}
		object, _ := value.(map[string]any)
		if items, ok := object["items"].([]any); ok {
			for _, item := range items {
				inner, _ := item.(map[string]any)
				if err := c.builtin(field, file, inner); err != nil {
					return err
				}
			}
		} else if err := c.builtin(field, file, object); err != nil {
			return err
		}
		if err := c.pluginPaths(field, file, value, false); err != nil {
			return err
		}
		if err := c.texts(doc); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) builtin(field, file string, object map[string]any) error {
	kind, _ := object["kind"].(string)
	switch {
	case object == nil:
		return nil
	case object["apiVersion"] != konfig.BuiltinPluginApiVersion:
		return failure.New(failure.Invalid, "use one of kustomize's builtin plugins (apiVersion: builtin), or commit what the plugin renders",
			"%s: %s: %s is a plugin that would run a program", file, field, kind)
	case kind == "HelmChartInflationGenerator":
		return failure.New(failure.Invalid, "render the chart, commit the result and list it in resources",
			"%s: %s: %s would run the program helm and fetch charts", file, field, kind)
	}
	return nil
}

// pluginPathKeys are the fields by which builtin plugins name files.
var pluginPathKeys = []string{"path", "paths", "files", "env", "envs", "targetFilePath"}

// pluginPaths refuses URLs wherever a builtin plugin would load one; other paths are bound by the file system.
func (c checker) pluginPaths(field, file string, value any, isPath bool) error {
	switch v := value.(type) {
	case string:
		if !isPath {
			return nil
		}
		_, name, _ := strings.Cut(v, "=")
		if isURL(v) || isURL(name) {
			return failure.New(failure.Invalid, "commit what it stands for and name it by a relative path; a build makes no requests",
				"%s: %s: %q is a URL", file, field, v)
		}
		if info, err := c.source.Stat(c.ctx, path.Join(c.dir, v)); err == nil {
			c.documents[info.Path] = true
		}
	case []any:
		for _, item := range v {
			if err := c.pluginPaths(field, file, item, isPath); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, item := range v {
			if err := c.pluginPaths(field, file, item, isPathKey(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

func isPathKey(key string) bool {
	for _, known := range pluginPathKeys {
		if strings.EqualFold(key, known) {
			return true
		}
	}
	return false
}
