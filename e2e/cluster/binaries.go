package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// binary is a program that is built from a module of its own, because its dependencies fit to nothing else's.
type binary struct {
	name    string   // the folder of the module
	module  string   // what the module is there for, and gives the binary its version
	version string   // the package that -X sets the version in
	more    string   // other settings of that package
	files   []string // what else the cluster needs from the module
}

var (
	kube = binary{
		name: "kube", module: "k8s.io/kubernetes", version: "k8s.io/component-base/version.gitVersion=v",
		more: "k8s.io/component-base/version.gitMajor=1 k8s.io/component-base/version.gitMinor=31 k8s.io/component-base/version.gitTreeState=clean",
	}
	argoCDs = map[string]binary{
		"v2": {
			name: "argo2", module: "github.com/argoproj/argo-cd/v2", files: argoFiles,
			version: "github.com/argoproj/argo-cd/v2/common.version=",
			more:    "github.com/argoproj/argo-cd/v2/common.gitTreeState=clean github.com/argoproj/argo-cd/v2/common.kubectlVersion=v0.31.0",
		},
		"v3": {
			name: "argo3", module: "github.com/argoproj/argo-cd/v3", files: argoFiles,
			version: "github.com/argoproj/argo-cd/v3/common.version=",
			more:    "github.com/argoproj/argo-cd/v3/common.gitTreeState=clean github.com/argoproj/argo-cd/v3/common.kubectlVersion=v0.36.1",
		},
	}
	argoFiles = []string{
		"manifests/crds/application-crd.yaml", "manifests/crds/applicationset-crd.yaml", "manifests/crds/appproject-crd.yaml",
		gitVerifyWrapper,
	}
	crdNames = map[string]string{
		"application-crd.yaml":    "applications.argoproj.io",
		"applicationset-crd.yaml": "applicationsets.argoproj.io",
		"appproject-crd.yaml":     "appprojects.argoproj.io",
	}
)

// gitVerifyWrapper is a script that repo-server v3 calls for every commit, signed or not.
const gitVerifyWrapper = "hack/git-verify-wrapper.sh"

// built is a directory of the cache that holds a binary and what belongs to it.
type built struct {
	dir, version string
}

func (b built) path() string { return filepath.Join(b.dir, "program") }

// cache is where binaries are kept.
func cache() (string, error) {
	if dir := os.Getenv("SLIPWAY_E2E_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "slipway-e2e"), err
}

// build returns the binary from the cache, where it is kept under the hash of everything that it is made of, or builds it.
// The folder of modules is that with the folder of each binary.
func (b binary) build(ctx context.Context, modules string, progress io.Writer) (built, error) {
	source := filepath.Join(modules, b.name)
	version, err := goTool(ctx, source, "list", "-m", "-f", "{{.Version}}", b.module)
	if err != nil {
		return built{}, err
	}
	key, err := b.key(source)
	if err != nil {
		return built{}, err
	}
	root, err := cache()
	if err != nil {
		return built{}, err
	}
	result := built{dir: filepath.Join(root, b.name+"-"+key), version: strings.TrimPrefix(version, "v")}
	if _, err = os.Stat(result.dir); err == nil {
		fmt.Fprintf(progress, "e2e: %s %s is in %s\n", b.module, version, result.dir)
		return result, nil
	}
	fmt.Fprintf(progress, "e2e: building %s %s, which takes some minutes\n", b.module, version)
	begun := time.Now()
	if err := b.buildInto(ctx, root, source, result); err != nil {
		return built{}, fmt.Errorf("build %s: %w", b.name, err)
	}
	fmt.Fprintf(progress, "e2e: built %s in %s: %s\n", b.name, time.Since(begun).Round(time.Second), result.dir)
	return result, nil
}

func (b binary) ldflags(version string) string {
	flags := "-s -w -X " + b.version + version
	for more := range strings.FieldsSeq(b.more) {
		flags += " -X " + more
	}
	return flags
}

// gcflags make the compiler do without inlining and debug information, which takes a third of its time. The standard library is
// compiled as it is for slipway, so that it is in Go's cache; for slipway the Makefile has the same flag.
var (
	gcflags     = []string{"-gcflags=all=-l -dwarf=false", "-gcflags=std=-dwarf=false"}
	slipwayFlag = "-gcflags=all=-dwarf=false"
)

func (b binary) key(source string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOARCH, gcflags, b)
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// buildInto makes the directory appear at once and complete: several builds may run, and each may be interrupted.
func (b binary) buildInto(ctx context.Context, root, source string, result built) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	half, err := os.MkdirTemp(root, "half-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(half)
	program := built{dir: half}.path()
	args := slices.Concat([]string{"build", "-trimpath", "-buildvcs=false"}, gcflags, []string{"-ldflags", b.ldflags(result.version), "-o", program, "."})
	if _, err = goTool(ctx, source, args...); err != nil {
		return err
	}
	if err := b.copyFiles(ctx, source, half); err != nil {
		return err
	}
	if err := os.Chmod(half, 0o755); err != nil {
		return err
	}
	if err := os.Rename(half, result.dir); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func (b binary) copyFiles(ctx context.Context, source, dir string) error {
	module, err := goTool(ctx, source, "list", "-m", "-f", "{{.Dir}}", b.module)
	if err != nil {
		return err
	}
	for _, name := range b.files {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// goTool runs the go command in a module of its own and returns what it prints.
func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its compilers
	cmd.Dir = dir
	// The compiler has better to do than to collect what it is done with before it ends.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOGC=400")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
