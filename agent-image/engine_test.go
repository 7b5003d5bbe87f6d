//go:build image

package agentimage_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// engine is a program that builds images.
type engine struct {
	name    string
	command []string
	// flags keep a build from pulling anything, and from wanting more of the machine than it needs.
	flags []string
	// save are the arguments that write an image into a file, as docker save does.
	save func(image, file string) []string
}

func (w workshop) buildah() engine {
	return engine{
		"buildah", w.inStore("buildah"),
		[]string{"--isolation", "chroot", "--pull-never"},
		func(image, file string) []string { return []string{"push", "--quiet", image, "docker-archive:" + file} },
	}
}

func (w workshop) podman() engine {
	return engine{
		"podman", w.inStore("podman"),
		[]string{"--isolation", "chroot", "--pull=never"},
		func(image, file string) []string { return []string{"save", "--quiet", "--output", file, image} },
	}
}

// docker works in the store of the daemon, which is everybody's.
func (w workshop) docker() engine {
	return engine{
		"docker",
		[]string{"env", "DOCKER_BUILDKIT=1", "docker"},
		[]string{"--network", "none"},
		func(image, file string) []string { return []string{"save", "--output", file, image} },
	}
}

// inStore is a program that works in a store which nobody else uses.
func (w workshop) inStore(program string) []string {
	dir := filepath.Join(w.dir, program)
	return []string{program, "--storage-driver", "vfs", "--root", filepath.Join(dir, "store"), "--runroot", filepath.Join(dir, "run")}
}

func (e engine) cmd(args ...string) *exec.Cmd {
	all := append(append([]string(nil), e.command...), args...)
	return exec.Command(all[0], all[1:]...)
}

func (e engine) run(args ...string) (string, error) { return output(e.cmd(args...)) }

// works builds the least image that there is: a docker of which no daemon runs, or that lacks its buildx, fails there.
func (e engine) works(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nLABEL works=yes\n"), 0o600); err != nil {
		return err
	}
	_, err := e.run(append(append([]string{"build", "--quiet"}, e.flags...), dir)...)
	return err
}

// pair is what an engine has made, and the test of it.
type pair struct {
	*testing.T
	base, image built
}

// forEachEngine runs a test with the images of each engine that is there. Buildah has to be.
func forEachEngine(t *testing.T, test func(p pair)) {
	t.Helper()
	for _, e := range []engine{shop.buildah(), shop.podman(), shop.docker()} {
		t.Run(e.name, func(t *testing.T) {
			if e.name != "buildah" {
				buildWith(t, e)
			}
			test(pair{t, inspect(t, e, base), inspect(t, e, image)})
		})
	}
}

// buildWith builds the images that all tests have of Buildah, with another engine.
func buildWith(t *testing.T, e engine) {
	t.Helper()
	if err := e.works(t.TempDir()); err != nil {
		t.Skipf("%s does not work here: %v", e.name, err)
	}
	if e.name == "docker" {
		t.Cleanup(func() { _, _ = e.run("rmi", image, base) })
	}
	if err := shop.buildStandIn(e, base, "base", "git"); err != nil {
		t.Fatal(err)
	}
	if err := shop.makeImage(e, image, "SHA256="+checksum(shop.binary())); err != nil {
		t.Fatal(err)
	}
}

// built is an image, as docker save writes it.
type built struct {
	Config struct {
		User, WorkingDir          string
		Env, Cmd, Entrypoint      []string
		Labels, Volumes           map[string]any
		ExposedPorts, Healthcheck map[string]any
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	// top is the last layer.
	top []byte
}

func inspect(t *testing.T, e engine, name string) built {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	if _, err := e.run(e.save(name, file)...); err != nil {
		t.Fatal(err)
	}
	var manifest []struct {
		Config string
		Layers []string
	}
	unmarshal(t, member(t, file, "manifest.json"), &manifest)
	var b built
	unmarshal(t, member(t, file, manifest[0].Config), &b)
	layers := manifest[0].Layers
	b.top = member(t, file, layers[len(layers)-1])
	return b
}

func unmarshal(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// member returns a file of an archive, without the compression of layers.
func member(t *testing.T, file, name string) []byte {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if err != nil {
			t.Fatalf("%s in the archive of the image: %v", name, err)
		}
		if header.Name != name {
			continue
		}
		data, err := io.ReadAll(archive)
		if err == nil && bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			data, err = gunzip(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
}

func gunzip(data []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(reader)
	return data, errors.Join(err, reader.Close())
}

func (e engine) String() string { return strings.Join(e.command, " ") }
