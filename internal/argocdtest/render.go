package argocdtest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// revisionCache is how long the repo-server believes that a branch has not moved, unless it is told to look.
const revisionCache = 3 * time.Minute

// repositories is the repo-server: it resolves revisions and renders them, with the git of the machine and kustomize.
type repositories struct {
	root string
	env  []string

	mu       sync.Mutex
	resolved map[[2]string]resolution // by URL and revision
	rendered map[[3]string]rendering  // by URL, commit and path
}

type resolution struct {
	commit string
	at     time.Time
}

type rendering struct {
	objects []*unstructured.Unstructured
	kind    v1alpha1.ApplicationSourceType
}

func newRepositories(root string, env []string) (*repositories, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, err
	}
	return &repositories{
		root: root,
		env: slices.Concat(os.Environ(), []string{
			"HOME=" + root, "XDG_CONFIG_HOME=" + root, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
			"GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		}, env),
		resolved: map[[2]string]resolution{},
		rendered: map[[3]string]rendering{},
	}, nil
}

var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// resolve returns the commit of a revision. A full hash is believed, as the real server does. Unless forced, a branch may be
// where it was some minutes ago.
func (r *repositories) resolve(ctx context.Context, url, revision string, force bool) (string, error) {
	if revision == "" {
		revision = "HEAD"
	}
	if commitHash.MatchString(revision) {
		return revision, nil
	}
	r.mu.Lock()
	known, found := r.resolved[[2]string{url, revision}]
	r.mu.Unlock()
	if found && !force && time.Since(known.at) < revisionCache {
		return known.commit, nil
	}
	out, err := r.git(ctx, "ls-remote", url, revision, "refs/heads/"+revision, "refs/tags/"+revision+"^{}")
	if err != nil {
		return "", fmt.Errorf("rpc error: code = Unknown desc = failed to list refs: %w", err)
	}
	commit, _, _ := strings.Cut(string(out), "\t")
	if commit == "" {
		return "", fmt.Errorf("rpc error: code = Unknown desc = unable to resolve '%s' to a commit SHA", revision)
	}
	r.mu.Lock()
	r.resolved[[2]string{url, revision}] = resolution{commit, time.Now()}
	r.mu.Unlock()
	return commit, nil
}

// render returns the objects of a directory of a commit.
func (r *repositories) render(ctx context.Context, url, commit, dir string) (rendering, error) {
	dir = path.Clean(dir)
	r.mu.Lock()
	defer r.mu.Unlock() // one at a time: mirrors and kustomize's globals are shared
	key := [3]string{url, commit, dir}
	if known, found := r.rendered[key]; found {
		return known, nil
	}
	files, err := r.checkout(ctx, url, commit)
	if err != nil {
		return rendering{}, fmt.Errorf("rpc error: code = Unknown desc = %w", err)
	}
	if !files.IsDir("/" + dir) {
		return rendering{}, fmt.Errorf("rpc error: code = Unknown desc = %s: app path does not exist", dir)
	}
	rendered, err := build(files, dir)
	if err != nil {
		return rendering{}, fmt.Errorf("rpc error: code = Unknown desc = %w", err)
	}
	r.rendered[key] = rendered
	return rendered, nil
}

func build(files filesys.FileSystem, dir string) (rendering, error) {
	kustomization := false
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		kustomization = kustomization || files.Exists(path.Join("/", dir, name))
	}
	if !kustomization {
		generated, err := wrap(files, dir)
		if err != nil {
			return rendering{}, err
		}
		rendered, err := build(generated, dir)
		rendered.kind = v1alpha1.ApplicationSourceTypeDirectory
		return rendered, err
	}
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, path.Join("/", dir))
	if err != nil {
		return rendering{}, fmt.Errorf("`kustomize build <path to cached source>/%s` failed exit status 1: Error: %w", dir, err)
	}
	objects, err := objectsOf(result)
	return rendering{objects, v1alpha1.ApplicationSourceTypeKustomize}, err
}

// wrap makes a plain directory of manifests one that kustomize builds.
func wrap(files filesys.FileSystem, dir string) (filesys.FileSystem, error) {
	var list strings.Builder
	list.WriteString("resources:\n")
	names, err := files.ReadDir(path.Join("/", dir))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if extension := path.Ext(name); extension == ".yaml" || extension == ".yml" || extension == ".json" {
			fmt.Fprintf(&list, "- %q\n", name)
		}
	}
	return files, files.WriteFile(path.Join("/", dir, "kustomization.yaml"), []byte(list.String()))
}

func objectsOf(result resmap.ResMap) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, resource := range result.Resources() {
		encoded, err := resource.MarshalJSON()
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(encoded); err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// checkout reads all files of a commit into memory, from a mirror that is fetched when it lacks the commit.
func (r *repositories) checkout(ctx context.Context, url, commit string) (filesys.FileSystem, error) {
	mirror := filepath.Join(r.root, fmt.Sprintf("mirror-%x", sha256.Sum256([]byte(url))))
	if _, err := os.Stat(mirror); err != nil {
		if _, err := r.git(ctx, "init", "--quiet", "--bare", "--template=", mirror); err != nil {
			return nil, err
		}
	}
	if _, err := r.git(ctx, "--git-dir="+mirror, "cat-file", "-e", commit+"^{commit}"); err != nil {
		if _, err := r.git(ctx, "--git-dir="+mirror, "fetch", "--quiet", "--force", url, "+refs/*:refs/*"); err != nil {
			return nil, err
		}
	}
	archive, err := r.git(ctx, "--git-dir="+mirror, "archive", "--format=tar", commit)
	if err != nil {
		return nil, fmt.Errorf("failed to initialize repository resources: rpc error: code = Internal desc = "+
			"Failed to checkout revision %s: `git fetch origin %[1]s --tags --force --prune` failed exit status 128: "+
			"fatal: remote error: upload-pack: not our ref %[1]s", commit)
	}
	return unpack(archive)
}

func unpack(archive []byte) (filesys.FileSystem, error) {
	files := filesys.MakeFsInMemory()
	for reader := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		if err := files.WriteFile(path.Clean("/"+header.Name), content); err != nil {
			return nil, err
		}
	}
}

func (r *repositories) git(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = r.env, r.root, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("`git %s` failed %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
