package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"slipway/internal/gitrepotest"
)

// scale is one generated repository.
type scale struct {
	name     string
	services int
	commits  int
}

func sizeNamed(name string) (scale, error) {
	for _, s := range []scale{
		{"large", 5000, 20000},
		{"small", 500, 2000},
		{"quick-large", 200, 800},
		{"quick-small", 20, 80},
	} {
		if s.name == name {
			return s, nil
		}
	}
	return scale{}, fmt.Errorf("no repository %q, only small and large", name)
}

// generate writes a packed bare repository to dir/NAME.git: every service with a base and three overlays in the first
// commit, one tag bumped in each commit after it.
func generate(ctx context.Context, dir string, size scale) (err error) {
	work, err := os.MkdirTemp(dir, "generate-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	server, err := gitrepotest.Start(gitrepotest.Options{Dir: work})
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	if err := server.CreateRepo(size.name, gitrepotest.RepoOptions{Empty: true}); err != nil {
		return err
	}
	repo := server.RepoDir(size.name)
	if err := fastImport(ctx, repo, work, size); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"repack", "-adq"}, {"pack-refs", "--all"}, {"commit-graph", "write", "--reachable", "--no-progress"},
	} {
		if _, err := server.Git(size.name, args...); err != nil {
			return err
		}
	}
	return os.Rename(repo, filepath.Join(dir, size.name+".git"))
}

func fastImport(ctx context.Context, repo, home string, size scale) error {
	cmd := exec.CommandContext(ctx, "git", "fast-import", "--quiet")
	cmd.Dir, cmd.Env, cmd.Stderr = repo, gitrepotest.Environ(home), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(stdin, 1<<20)
	writeHistory(buffered, size)
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := stdin.Close(); err != nil {
		return err
	}
	return cmd.Wait()
}

// Errors of these writes stick to the bufio.Writer and are seen when it is flushed.
func writeHistory(w io.Writer, size scale) {
	writeCommit(w, 0, "Import all services\n")
	writeFile(w, "README.md", "# Releases\n\nOne directory per service.\n")
	writeFile(w, "CODEOWNERS", "* @platform\n")
	for i := range size.services {
		for path, content := range serviceFiles(i) {
			writeFile(w, path, content)
		}
	}
	random := rand.New(rand.NewPCG(1, uint64(size.services)))
	versions := map[string]int{}
	for n := 1; n < size.commits; n++ {
		i, environment := random.IntN(size.services), environments[random.IntN(len(environments))]
		o := overlay{service: i, environment: environment}
		was := versions[o.path()]
		versions[o.path()] = was + 1
		writeCommit(w, n, o.message(tag(was), tag(was+1), n))
		writeFile(w, o.path()+"/kustomization.yaml", o.kustomization(tag(was+1)))
	}
}

func tag(version int) string { return fmt.Sprintf("1.%d.0", version) }

func writeCommit(w io.Writer, n int, message string) {
	const start = 1767225600 // 2026-01-01, a commit every ten minutes from then on
	_, _ = fmt.Fprintf(w, "commit refs/heads/main\ncommitter Jenkins <jenkins@example.com> %d +0000\ndata %d\n%s\n",
		start+n*600, len(message), message)
}

func writeFile(w io.Writer, path, content string) {
	_, _ = fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
}

var environments = []string{"dev", "test", "prod"}

// overlay is one environment of one service.
type overlay struct {
	service     int
	environment string
}

func serviceName(i int) string  { return fmt.Sprintf("svc-%05d", i) }
func (o overlay) name() string  { return serviceName(o.service) }
func (o overlay) root() string  { return "services/" + o.name() }
func (o overlay) path() string  { return o.root() + "/overlays/" + o.environment }
func (o overlay) image() string { return "registry.example.com/shop/" + o.name() }
func (o overlay) job() string   { return "shop/" + o.name() }
func (o overlay) build(n int) string {
	return fmt.Sprintf("https://jenkins.example.com/job/shop/job/%s/%d/", o.name(), n)
}

func (o overlay) message(was, now string, n int) string {
	return fmt.Sprintf(`Release %[1]s %[2]s to %[3]s

Slipway-Release: %[1]s-%[3]s-%[4]d
Slipway-Path: %[5]s
Slipway-Image: %[6]s=%[6]s:%[2]s (was %[6]s:%[7]s)
Slipway-Job: %[8]s
Slipway-Order: %[4]d
Slipway-Build: %[9]s
`, o.name(), now, o.environment, n, o.path(), o.image(), was, o.job(), o.build(n))
}

func (o overlay) kustomization(tag string) string {
	content := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: shop-%s

resources:
  - ../../base

images:
  # Set by the pipeline %s.
  - name: %s
    newTag: %s
`, o.environment, o.job(), o.image(), tag)
	if o.environment == "prod" {
		content += "\npatches:\n  - path: resources.yaml\n"
	}
	return content
}

// serviceFiles are the eight files of a service, three of them kustomizations of overlays.
func serviceFiles(i int) map[string]string {
	name, files := serviceName(i), map[string]string{}
	for _, environment := range environments {
		o := overlay{i, environment}
		files[o.path()+"/kustomization.yaml"] = o.kustomization(tag(0))
	}
	root := "services/" + name
	files[root+"/overlays/prod/resources.yaml"] = fmt.Sprintf(resourcesYAML, name, 100+i%400)
	files[root+"/base/kustomization.yaml"] = baseYAML
	files[root+"/base/deployment.yaml"] = fmt.Sprintf(deploymentYAML, name, 8000+i%1000)
	files[root+"/base/service.yaml"] = fmt.Sprintf(serviceYAML, name)
	files[root+"/base/configmap.yaml"] = fmt.Sprintf(configMapYAML, name, i)
	return files
}

const baseYAML = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization

resources:
  - deployment.yaml
  - service.yaml
  - configmap.yaml
`

const deploymentYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: %[1]s
  template:
    metadata:
      labels:
        app.kubernetes.io/name: %[1]s
    spec:
      containers:
        - name: %[1]s
          image: registry.example.com/shop/%[1]s
          envFrom:
            - configMapRef:
                name: %[1]s
          ports:
            - name: http
              containerPort: %[2]d
          readinessProbe:
            httpGet:
              path: /ready
              port: http
          resources:
            requests:
              cpu: 50m
              memory: 64Mi
            limits:
              memory: 256Mi
`

const serviceYAML = `apiVersion: v1
kind: Service
metadata:
  name: %[1]s
spec:
  selector:
    app.kubernetes.io/name: %[1]s
  ports:
    - name: http
      port: 80
      targetPort: http
`

const configMapYAML = `apiVersion: v1
kind: ConfigMap
metadata:
  name: %[1]s
data:
  LOG_LEVEL: info
  SHARD: "%[2]d"
`

const resourcesYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  template:
    spec:
      containers:
        - name: %[1]s
          resources:
            requests:
              cpu: %[2]dm
`
