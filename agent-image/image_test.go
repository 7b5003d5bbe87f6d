//go:build image

package agentimage_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// biggest is what the one layer may weigh. An agent pulls it once for each node and version.
const biggest = 80 << 20

func TestTheImageIsTheBaseAndOneFile(t *testing.T) {
	forEachEngine(t, func(p pair) {
		p.Run("in one layer", func(t *testing.T) {
			layers := p.image.RootFS.DiffIDs
			if diff := cmp.Diff(p.base.RootFS.DiffIDs, layers[:len(layers)-1]); diff != "" {
				t.Errorf("the layers below the last one are not those of the base (-base +image):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"usr/local/bin/slipway 755 0:0 " + checksum(shop.binary())}, list(t, p.image.top)); diff != "" {
				t.Errorf("the last layer (-want +got):\n%s", diff)
			}
		})
		p.Run("for the pod template of the base", func(t *testing.T) {
			before, after := p.base.Config, p.image.Config
			before.Labels, after.Labels = nil, nil
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("user, environment, command and the rest are not those of the base (-base +image):\n%s", diff)
			}
		})
		p.Run("and labels say what it is", func(t *testing.T) {
			for label, want := range map[string]string{
				"org.opencontainers.image.title":     "slipway-agent",
				"org.opencontainers.image.version":   version,
				"org.opencontainers.image.revision":  commit,
				"org.opencontainers.image.created":   "2026-01-02T03:04:05Z",
				"org.opencontainers.image.base.name": base,
				"maintainer":                         "the base's own",
			} {
				if got := p.image.Config.Labels[label]; got != want {
					t.Errorf("%s is %q, not %q", label, got, want)
				}
			}
		})
	})
}

func TestTheBinaryIsNotTooBig(t *testing.T) {
	info, err := os.Stat(shop.binary())
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > biggest {
		t.Errorf("the binary has %d bytes, more than the %d that are meant to be the most", info.Size(), biggest)
	}
}

func TestABinaryWithAnotherChecksumIsNotTaken(t *testing.T) {
	err := shop.makeImage(shop.buildah(), "localhost/slipway-agent:tampered", "SHA256="+strings.Repeat("0", 64))
	if err == nil || !strings.Contains(err.Error(), "slipway: FAILED") {
		t.Errorf("an image was made of a binary that has another checksum, or not for that reason: %v", err)
	}
}

// The builder stage is the ordinary one. It compiles from source what make build compiles, byte by byte.
func TestTheImageIsBuiltFromSource(t *testing.T) {
	const toolchain, fromSource = "localhost/golang:local", "localhost/slipway-agent:source"
	e := shop.buildah()
	if err := shop.buildStandIn(e, toolchain, "golang"); err != nil {
		t.Fatal(err)
	}
	e.flags = append(e.flags, "--volume", goEnv(t, "GOROOT")+":/usr/local/go:ro", "--volume", goEnv(t, "GOMODCACHE")+":/go/pkg/mod",
		"--volume", goEnv(t, "GOCACHE")+":/root/.cache/go-build")
	if err := shop.makeImage(e, fromSource, "GO_IMAGE="+toolchain, "GOPROXY=off"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list(t, inspect(t, e, image).top), list(t, inspect(t, e, fromSource).top)); diff != "" {
		t.Errorf("the layer that was built from source (-binary +source):\n%s", diff)
	}
}

// list names the files of a layer with mode, owner and checksum. Directories are left out: a layer names those on the way to its
// files.
func list(t *testing.T, layer []byte) []string {
	t.Helper()
	var files []string
	for archive := tar.NewReader(bytes.NewReader(layer)); ; {
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
