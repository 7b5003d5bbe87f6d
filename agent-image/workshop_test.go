//go:build image

// Package agentimage_test builds the agent image for real and runs every step in it. It needs root, buildah and busybox-static,
// and pulls nothing: the images that it builds on are its own. What Podman and Docker make is compared where they are. See make
// test-image.
package agentimage_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	// version and commit are what the binary is told to be.
	version = "9.8.7"
	commit  = "0123456789abcdef0123456789abcdef01234567"

	base  = "localhost/builder-base:v3.2.2"
	image = "localhost/slipway-agent:test"
)

// shop is where all images of the tests are.
var shop workshop

func TestMain(m *testing.M) {
	if err := open(m.Run); err != nil {
		log.Fatal(err)
	}
}

// open makes the binary, the base and the agent image, runs the tests, and leaves nothing behind.
func open(tests func() int) (err error) {
	if shop.dir, err = os.MkdirTemp("", "agent-image-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(shop.dir)) }()
	if err := shop.make("build-linux-"+arch(), "DIST="+shop.dist(), "VERSION=v"+version, "COMMIT="+commit); err != nil {
		return err
	}
	if err := shop.buildStandIn(shop.buildah(), base, "base", "git"); err != nil {
		return err
	}
	if err := shop.makeImage(shop.buildah(), image, "SHA256="+checksum(shop.binary())); err != nil {
		return err
	}
	tests()
	return nil
}

// workshop is a directory with stores of images that nobody else uses.
type workshop struct{ dir string }

func (w workshop) dist() string { return filepath.Join(w.dir, "dist") }

func (w workshop) binary() string { return filepath.Join(w.dist(), "slipway-linux-"+arch()) }

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, failed.Stderr)
	}
	return string(out), err
}

func (w workshop) make(args ...string) error {
	cmd := exec.Command("make", append([]string{"--no-print-directory", "-C", ".."}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("make %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// makeImage is make image on the stand-in for the base.
func (w workshop) makeImage(e engine, name string, args ...string) error {
	return w.make(append([]string{
		"image", "IMAGE=" + name, "BASE=" + base, "VERSION=v" + version, "COMMIT=" + commit, "CREATED=2026-01-02T03:04:05Z", "DIST=" + w.dist(),
		"ENGINE=" + e.String(), "IMAGE_FLAGS=" + strings.Join(e.flags, " "),
	}, args...)...)
}

// buildStandIn builds testdata/NAME, whose context has busybox and the named files.
func (w workshop) buildStandIn(e engine, name, directory string, files ...string) error {
	context := filepath.Join(w.dir, e.name, directory)
	if err := os.MkdirAll(context, 0o755); err != nil {
		return err
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	if err := copyFile(busybox, filepath.Join(context, "busybox")); err != nil {
		return err
	}
	for _, file := range files {
		if err := copyFile(filepath.Join("testdata", directory, file), filepath.Join(context, file)); err != nil {
			return err
		}
	}
	args := append([]string{"build", "--quiet", "-t", name, "-f", filepath.Join("testdata", directory, "Dockerfile")}, e.flags...)
	_, err = e.run(append(args, context)...)
	return err
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
