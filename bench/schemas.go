package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kubernetesVersion is the newest whose schemas slipway has. kubeconform gets those of the same version.
const kubernetesVersion = "v1.35.0"

// writeSchemas writes the JSON schemas that kubeconform -strict reads to a new directory. They are made of the OpenAPI document
// in Kubernetes' own module and have the form of those that kubeconform downloads by default: one file for each kind, all
// definitions expanded where they are used, with descriptions, and with no other fields than the known ones.
func writeSchemas(ctx context.Context, dir string) error {
	kubernetes, err := moduleDir(ctx, "k8s.io/kubernetes@"+kubernetesVersion)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(kubernetes, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return err
	}
	var document struct{ Definitions definitions }
	if err := json.Unmarshal(data, &document); err != nil {
		return err
	}
	unfinished := dir + ".unfinished"
	if err := errors.Join(os.RemoveAll(unfinished), os.Mkdir(unfinished, 0o755), document.Definitions.write(unfinished)); err != nil {
		return err
	}
	return os.Rename(unfinished, dir)
}

// definitions are the schemas of an OpenAPI document by name.
type definitions map[string]map[string]any

// write writes a file for each kind, named as kubeconform asks for it: deployment-apps-v1.json.
func (d definitions) write(dir string) error {
	for name, definition := range d {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // DeleteOptions and the like are of every group
			continue
		}
		kind := kinds[0].(map[string]any)
		group, _, _ := strings.Cut(kind["group"].(string), ".")
		parts := slices.DeleteFunc([]string{kind["kind"].(string), group, kind["version"].(string)}, func(s string) bool { return s == "" })
		data, err := json.MarshalIndent(d.expand(definition, name), "", "  ")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, strings.ToLower(strings.Join(parts, "-"))+".json"), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expand returns a schema with the definitions it refers to in place of the references, except those it is part of.
func (d definitions) expand(schema map[string]any, within ...string) map[string]any {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/definitions/")
		switch {
		case slices.Contains(within, name):
			return map[string]any{"type": "object"}
		case strings.HasSuffix(name, ".intstr.IntOrString"):
			return oneOf("string", "integer")
		case strings.HasSuffix(name, ".api.resource.Quantity"):
			return oneOf("string", "number")
		}
		return d.expand(d[name], append(within, name)...)
	}
	expanded := map[string]any{}
	for key, value := range schema {
		inner, ok := value.(map[string]any)
		switch {
		case key == "properties":
			fields := map[string]any{}
			for name, field := range inner {
				fields[name] = d.expand(field.(map[string]any), within...)
			}
			expanded["properties"], expanded["additionalProperties"] = fields, false
		case ok && (key == "items" || key == "additionalProperties"):
			expanded[key] = d.expand(inner, within...)
		default:
			expanded[key] = value
		}
	}
	return expanded
}

func oneOf(types ...string) map[string]any {
	var all []any
	for _, name := range types {
		all = append(all, map[string]any{"type": name})
	}
	return map[string]any{"oneOf": all}
}
