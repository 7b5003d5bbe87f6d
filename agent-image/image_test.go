//go:build image

package agentimage_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// biggest is what the one layer may weigh. An agent pulls it once for each node and version.
const biggest = 80 << 20

func TestTheImageIsTheBaseAndOneFile(t *testing.T) {
	before, after := inspect(t, base), inspect(t, image)
	layers := after.RootFS.DiffIDs
	if diff := cmp.Diff(before.RootFS.DiffIDs, layers[:len(layers)-1]); diff != "" {
		t.Errorf("the layers below the last one are not those of the base (-base +image):\n%s", diff)
	}
	files := lastLayer(t, image)
	if diff := cmp.Diff([]string{"usr/local/bin/slipway 755 0:0 " + checksum(shop.binary())}, files); diff != "" {
		t.Errorf("the last layer (-want +got):\n%s", diff)
	}
	info, err := os.Stat(shop.binary())
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > biggest {
		t.Errorf("the binary has %d bytes, more than the %d that are meant to be the most", info.Size(), biggest)
	}
}

func TestAPodTemplateOfTheBaseFitsTheImage(t *testing.T) {
	before, after := inspect(t, base).Config, inspect(t, image).Config
	before.Labels, after.Labels = nil, nil
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("user, environment, command and the rest are not those of the base (-base +image):\n%s", diff)
	}
}

func TestLabelsSayWhatTheImageIs(t *testing.T) {
	labels := inspect(t, image).Config.Labels
	for label, want := range map[string]string{
		"org.opencontainers.image.title":     "slipway-agent",
		"org.opencontainers.image.version":   version,
		"org.opencontainers.image.revision":  commit,
		"org.opencontainers.image.created":   "2026-01-02T03:04:05Z",
		"org.opencontainers.image.base.name": base,
		"maintainer":                         "the base's own",
	} {
		if got := labels[label]; got != want {
			t.Errorf("%s is %q, not %q", label, got, want)
		}
	}
}

func TestABinaryWithAnotherChecksumIsNotTaken(t *testing.T) {
	err := shop.makeImage("localhost/slipway-agent:tampered", "SHA256="+strings.Repeat("0", 64))
	if err == nil || !strings.Contains(err.Error(), "slipway: FAILED") {
		t.Errorf("an image was made of a binary that has another checksum, or not for that reason: %v", err)
	}
}

// The builder stage is the ordinary one. It compiles from source what make build compiles, byte by byte.
func TestTheImageIsBuiltFromSource(t *testing.T) {
	const toolchain, fromSource = "localhost/golang:local", "localhost/slipway-agent:source"
	if err := shop.buildStandIn(toolchain, "golang"); err != nil {
		t.Fatal(err)
	}
	err := shop.makeImage(fromSource, "GO_IMAGE="+toolchain, "GOPROXY=off", "IMAGE_FLAGS=--isolation chroot --pull-never"+
		" --volume "+goEnv(t, "GOROOT")+":/usr/local/go:ro --volume "+goEnv(t, "GOMODCACHE")+":/go/pkg/mod"+
		" --volume "+goEnv(t, "GOCACHE")+":/root/.cache/go-build")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lastLayer(t, image), lastLayer(t, fromSource)); diff != "" {
		t.Errorf("the layer that was built from source (-binary +source):\n%s", diff)
	}
}

type ociImage struct {
	Config struct {
		User, WorkingDir          string
		Env, Cmd, Entrypoint      []string
		Labels, Volumes           map[string]any
		ExposedPorts, Healthcheck map[string]any
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

func inspect(t *testing.T, name string) ociImage {
	t.Helper()
	out, err := shop.buildah("inspect", "--type", "image", name)
	if err != nil {
		t.Fatal(err)
	}
	var inspected struct{ OCIv1 ociImage }
	if err := json.Unmarshal([]byte(out), &inspected); err != nil {
		t.Fatal(err)
	}
	return inspected.OCIv1
}

// lastLayer lists the files of an image's last layer with mode, owner and checksum. Directories are left out: a layer names those
// on the way to its files.
func lastLayer(t *testing.T, name string) []string {
	t.Helper()
	dir := t.TempDir()
	if _, err := shop.buildah("push", "--quiet", "--disable-compression", name, "dir:"+dir); err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Layers []struct{ Digest string } }
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	_, blob, _ := strings.Cut(manifest.Layers[len(manifest.Layers)-1].Digest, ":")
	layer, err := os.Open(filepath.Join(dir, blob))
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	return list(t, layer)
}

func list(t *testing.T, layer io.Reader) []string {
	t.Helper()
	var files []string
	for archive := tar.NewReader(layer); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, archive); err != nil {
			t.Fatal(err)
		}
		files = append(files, fmt.Sprintf("%s %o %d:%d %x", header.Name, header.Mode&0o7777, header.Uid, header.Gid, sum.Sum(nil)))
	}
}

func checksum(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := output(exec.Command("go", "env", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func arch() string { return runtime.GOARCH }
