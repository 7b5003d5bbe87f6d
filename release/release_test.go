//go:build release

// Package release_test makes releases, and checks what is published. It takes minutes, fewer with PLATFORMS=linux-amd64 in the
// environment: see make test-release.
package release_test

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6" //nolint:depguard // these schemas are not of manifests
)

// version is the tag that HEAD gets in the tests' clones. What is not committed is not released.
const version = "v1.8.7"

// platforms are what is built, as for make.
var platforms = strings.Fields(cmp.Or(os.Getenv("PLATFORMS"), "linux-amd64 linux-arm64 darwin-arm64"))

// twice is the release of HEAD as two people make it: in directories of different names, and one of them without a build cache.
var twice [2]string

func TestMain(m *testing.M) {
	if err := release(m.Run); err != nil {
		log.Fatal(err)
	}
}

func release(tests func() int) error {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for i, env := range [][]string{nil, {"GOCACHE=" + filepath.Join(dir, "cache")}} {
		clone := filepath.Join(dir, strings.Repeat("longer-", i)+"clone")
		for _, args := range [][]string{
			{"git", "clone", "--quiet", "..", clone},
			{"git", "-C", clone, "-c", "user.name=Sam Sample", "-c", "user.email=sam@example.com", "tag", "-m", "Release", version},
			{"make", "-C", clone, "release"},
		} {
			if _, err := run(env, args...); err != nil {
				return err
			}
		}
		twice[i] = filepath.Join(clone, "dist")
	}
	tests()
	return nil
}

func run(env []string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String(), nil
}

func TestTwoReleasesOfACommitAreTheSameByteByByte(t *testing.T) {
	one, other := contents(t, twice[0]), contents(t, twice[1])
	want := []string{"CHANGELOG.md", "SHA256SUMS", "slipway.openvex.json"}
	for _, platform := range platforms {
		want = append(want, "slipway-"+platform, "slipway-"+platform+".cdx.json")
	}
	slices.Sort(want)
	for _, release := range []map[string]string{one, other} {
		if diff := gocmp.Diff(want, slices.Sorted(maps.Keys(release))); diff != "" {
			t.Errorf("what is released (-want +got):\n%s", diff)
		}
	}
	for name := range one {
		if one[name] != other[name] {
			t.Errorf("%s is not the same in both", name)
		}
	}
}

func TestTheChecksumsAreThoseOfTheFiles(t *testing.T) {
	t.Chdir(twice[0])
	out, err := run(nil, "sha256sum", "--check", "--strict", "SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out, ": OK\n"), len(contents(t, "."))-1; got != want {
		t.Errorf("%d files have a checksum, not %d:\n%s", got, want, out)
	}
}

func TestTheVersionIsTheTag(t *testing.T) {
	binary := filepath.Join(twice[0], "slipway-"+runtime.GOOS+"-"+runtime.GOARCH)
	out, err := run(nil, binary, "version", "--format", "{{.details.version}} {{.details.commit}}")
	if err != nil {
		t.Fatal(err)
	}
	head, err := run(nil, "git", "-C", filepath.Dir(twice[0]), "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimPrefix(version, "v") + " " + head; strings.TrimSpace(out) != strings.TrimSpace(want) {
		t.Errorf("the binary says %q, not %q", out, want)
	}
	if changes := contents(t, twice[0])["CHANGELOG.md"]; !strings.HasPrefix(changes, "# Changes\n\n## "+version+" (") {
		t.Errorf("the changelog does not begin with the version:\n%.200s", changes)
	}
}

func TestBinariesForLinuxNeedNoLibrary(t *testing.T) {
	for _, platform := range platforms {
		if !strings.HasPrefix(platform, "linux-") {
			continue
		}
		file, err := elf.Open(filepath.Join(twice[0], "slipway-"+platform))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for _, segment := range file.Progs {
			if segment.Type == elf.PT_INTERP {
				t.Errorf("the binary for %s asks for a dynamic linker", platform)
			}
		}
	}
}

func TestNothingIsReleasedWithoutATag(t *testing.T) {
	for _, version := range []string{"", "v1.2.0-3-g0123abc", "v1.2.0-dirty", "1.2.0"} {
		_, err := run(nil, "make", "-C", "..", "release", "VERSION="+version, "DIST="+t.TempDir())
		if err == nil || !strings.Contains(err.Error(), "'"+version+"' is no version") {
			t.Errorf("a release of %q is not refused, or not for that reason: %v", version, err)
		}
	}
}

func TestNothingIsReleasedThatTheLibraryDoesNotCall(t *testing.T) {
	_, err := run(nil, "make", "-C", filepath.Dir(twice[0]), "release", "VERSION=v99.0.0", "DIST="+t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "raise VERSIONS") {
		t.Errorf("it is not refused, or not for that reason: %v", err)
	}
}

func TestABillOfMaterialsListsWhatIsInTheBinary(t *testing.T) {
	schema := compile(t)
	for name, content := range contents(t, twice[0]) {
		binary, isBOM := strings.CutSuffix(name, ".cdx.json")
		if !isBOM {
			continue
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var bom struct {
			Components []struct{ Name, Version string }
		}
		if err := json.Unmarshal([]byte(content), &bom); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range bom.Components {
			got = append(got, c.Name+" "+c.Version)
		}
		slices.Sort(got)
		if diff := gocmp.Diff(linked(t, filepath.Join(twice[0], binary)), got); diff != "" {
			t.Errorf("%s (-linked +listed):\n%s", name, diff)
		}
	}
}

// linked lists the standard library and the modules of a binary, replaced ones under the names of what replaces them.
func linked(t *testing.T, binary string) []string {
	t.Helper()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	modules := []string{"std " + info.GoVersion}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		modules = append(modules, module.Path+" "+module.Version)
	}
	slices.Sort(modules)
	return modules
}

// compile reads the schemas that come with the library which writes bills of materials.
func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := run(nil, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go")
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	const main = "bom-1.6.schema.json"
	for name, file := range map[string]string{
		main: main, "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		data, err := os.Open(filepath.Join(strings.TrimSpace(dir), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		defer data.Close()
		document, err := jsonschema.UnmarshalJSON(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+name, document); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/" + main)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
