package manifest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"slices"
	"testing"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/openapi/kubernetesapi"
)

var update = flag.Bool("update", false, "write the embedded merge keys anew")

// TestMergeKeysAreKustomizesOwn takes the document that kustomize carries apart and wants what is embedded; with -update it
// writes it.
func TestMergeKeysAreKustomizesOwn(t *testing.T) {
	t.Parallel()
	const file = "merge_keys.json.gz"
	want := map[string]any{}
	for name, definition := range kustomizesDefinitions(t) {
		want[name] = mergeKeysOf(t, definition)
	}
	if *update {
		writeZipped(t, file, want)
	}
	if diff := cmp.Diff(plain(t, want), readZipped(t, file)); diff != "" {
		t.Errorf("embedded (-kustomize's +ours), renew it with -update:\n%s", diff)
	}
}

func kustomizesDefinitions(t *testing.T) spec.Definitions {
	t.Helper()
	asset := kubernetesapi.OpenAPIMustAsset[kubernetesapi.DefaultOpenAPI]("kubernetesapi/v1_21_2/swagger.pb")
	var document openapiv2.Document
	if err := proto.Unmarshal(asset, &document); err != nil {
		t.Fatal(err)
	}
	var swagger spec.Swagger
	if _, err := swagger.FromGnostic(&document); err != nil {
		t.Fatal(err)
	}
	return swagger.Definitions
}

// mergeKeysOf keeps of a schema what kyaml's openapi.ResourceSchema has methods for, and no scalars, which have nothing to merge.
func mergeKeysOf(t *testing.T, s spec.Schema) map[string]any {
	t.Helper()
	kept, extensions, fields := map[string]any{}, map[string]any{}, map[string]any{}
	if ref := s.Ref.String(); ref != "" {
		kept["$ref"] = ref
	}
	if s.Type.Contains("array") {
		kept["type"] = "array"
	}
	for _, name := range []string{
		"x-kubernetes-group-version-kind", "x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key", "x-kubernetes-list-map-keys",
	} {
		if value, ok := s.Extensions[name]; ok {
			extensions[name] = value
		}
	}
	for name, field := range s.Properties {
		if !slices.ContainsFunc([]string{"string", "integer", "number", "boolean"}, field.Type.Contains) {
			fields[name] = mergeKeysOf(t, field)
		}
	}
	if len(fields) < len(s.Properties) && s.AdditionalProperties != nil {
		t.Error("a field that is left out is taken for one of the others")
	}
	if len(extensions) > 0 {
		kept["extensions"] = extensions
	}
	if len(fields) > 0 {
		kept["properties"] = fields
	}
	if s.Items != nil && s.Items.Schema != nil {
		kept["items"] = mergeKeysOf(t, *s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		kept["additionalProperties"] = mergeKeysOf(t, *s.AdditionalProperties.Schema)
	}
	return kept
}

func writeZipped(t *testing.T, file string, v any) {
	t.Helper()
	var data bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&data, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(zipped).Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readZipped(t *testing.T, file string) (v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(unzipped); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// plain returns v as it comes back from JSON.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
