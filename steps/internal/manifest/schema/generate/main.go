// Command generate writes schemas.zip, the embedded data of package schema. A build does not need it; run it in the root of
// the repository to add a Kubernetes version or to renew the CRDs:
//
//	go run ./steps/internal/manifest/schema/generate --openapi DIR --crds DIR [--crds DIR] --out steps/internal/manifest/schema/schemas.zip
//
// --openapi is a directory with one VERSION.tar.xz per Kubernetes version, which holds the OpenAPI v3 documents of its API
// server as served under /openapi/v3 (api/v1.json, apis/GROUP/VERSION.json); it needs tar and xz. The data at hand is that of
// kubernetes-sigs/kubectl-validate, pkg/openapiclient/builtins, commit a97ccfaca20b164819afdae780392496f6ed6bbd (Apache-2.0).
//
// --crds is a directory of CustomResourceDefinitions; of two definitions of one version of a kind the file whose path sorts
// last is taken, so that older releases of the same kinds do not belong there. The data at hand is that of kubesphere/ks-devops, config/crd/bases, commit
// 353f62c8db7bd546bc46e56ad10a63fe84a3088b, of fluent/fluent-operator, config/crd/bases, commit
// 00625bfdaf4eefc64b787ad035245e8eaa8f3a80 and (Input) tag v0.13.0, and of argoproj/argo-cd v2.14.21, manifests/crds (all Apache-2.0).
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	//nolint:depguard // the generator is the other half of the package whose data it writes
	"slipway/steps/internal/manifest/schema"
)

func main() {
	log.SetFlags(0)
	openapi := flag.String("openapi", "", "directory of VERSION.tar.xz")
	out := flag.String("out", "", "file to write")
	var crds []schema.CRD
	flag.Func("crds", "directory of CRDs; may be repeated", func(dir string) error {
		found, err := schema.LoadCRDs(dir)
		crds = append(crds, found...)
		return err
	})
	flag.Parse()
	if err := generate(*openapi, crds, *out); err != nil {
		log.Fatal(err)
	}
}

func generate(openapi string, crds []schema.CRD, out string) error {
	archives, err := filepath.Glob(filepath.Join(openapi, "*.tar.xz"))
	if err != nil {
		return err
	}
	slices.SortFunc(archives, func(a, b string) int { return minorOf(a) - minorOf(b) })
	var releases []schema.Release
	for _, archive := range archives {
		release, err := read(archive)
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		releases = append(releases, release)
	}
	var data bytes.Buffer
	if err := schema.Pack(&data, releases, crds); err != nil {
		return err
	}
	return os.WriteFile(out, data.Bytes(), 0o644)
}

func versionOf(archive string) string { return strings.TrimSuffix(filepath.Base(archive), ".tar.xz") }

func minorOf(archive string) int {
	_, minor, _ := strings.Cut(versionOf(archive), ".")
	n, _ := strconv.Atoi(minor)
	return n
}

func read(archive string) (schema.Release, error) {
	dir, err := os.MkdirTemp("", "openapi-")
	if err != nil {
		return schema.Release{}, err
	}
	defer os.RemoveAll(dir)
	//nolint:gosec // the archives are those of the directory that the caller names
	if message, err := exec.Command("tar", "-xJf", archive, "-C", dir).CombinedOutput(); err != nil {
		return schema.Release{}, fmt.Errorf("tar: %w: %s", err, message)
	}
	release := schema.Release{Version: versionOf(archive)}
	documents := os.DirFS(dir)
	err = fs.WalkDir(documents, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		data, err := fs.ReadFile(documents, path)
		if err != nil {
			return err
		}
		var document map[string]any
		if err := json.Unmarshal(data, &document); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		release.Documents = append(release.Documents, document)
		return nil
	})
	return release, err
}
