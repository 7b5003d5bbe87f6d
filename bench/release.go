package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// releasing is one way to bring a new image into a cluster: from the edit of a file in Git until the cluster runs it.
type releasing struct {
	name     string
	commands func(r *realCluster, tag string) []command
}

var releasings = []releasing{
	{"shell script: git, kustomize, argocd app sync, argocd app wait", (*realCluster).script},
	{"slipway release --settle 0s", func(r *realCluster, tag string) []command { return r.release(tag, "--settle", "0s") }},
	{"slipway release", func(r *realCluster, tag string) []command { return r.release(tag) }},
}

// script is what a pipeline does without slipway. It is kind: it asks for the commit that it has pushed, has no history to
// fetch, and nobody else pushes.
func (r *realCluster) script(tag string) []command {
	const text = `set -euo pipefail
git clone --quiet --depth 1 "$1" work
cd work/"$2"
kustomize edit set image "$3"
git commit --quiet --all --message "Release $3"
git push --quiet origin HEAD:main
argocd app sync "$4" --revision "$(git rev-parse HEAD)" --timeout 300
argocd app wait "$4" --sync --health --timeout 300
`
	dir := filepath.Join(r.dir, "script-"+tag)
	return []command{{dir, []string{"bash", "-c", text, "release", r.server.url(releasedApp), releasedPath, releasedImage + ":" + tag, releasedApp}}}
}

func (r *realCluster) release(tag string, more ...string) []command {
	args := []string{
		r.slipway, "release", "--repo", r.server.url(releasedApp), "--path", releasedPath, "--image", releasedImage + ":" + tag,
		"--app", releasedApp, "--project", "team-a",
	}
	return []command{{filepath.Join(r.dir, "slipway-"+tag), append(args, more...)}}
}

const (
	releasedApp   = "bench"
	releasedPath  = "deploy"
	releasedImage = "registry.example.com/shop/web"
)

// insideVariable says that this process is in front of a cluster.
const insideVariable = "SLIPWAY_BENCH_IN_CLUSTER"

// releases compares whole releases in front of the real Argo CD, which e2e starts, in turns.
func (b *bench) releases(ctx context.Context, out io.Writer) ([]string, error) {
	argocd, err := b.argocdCommand(ctx)
	if err != nil {
		return nil, err
	}
	if os.Getenv(insideVariable) == "" {
		return nil, b.inCluster(ctx, out)
	}
	r, err := b.realCluster(ctx, argocd)
	if err != nil {
		return nil, err
	}
	results := make([][]released, len(releasings))
	for round := range b.settings.runs {
		for i := range releasings {
			i = (i + round) % len(releasings) // nobody is always the first
			progress("%s, run %d of %d", releasings[i].name, round+1, b.settings.runs)
			one, err := r.measure(ctx, releasings[i], fmt.Sprintf("v%d-%d", round+2, i))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", releasings[i].name, err)
			}
			results[i] = append(results[i], one)
		}
	}
	writeReleases(out, results)
	return brokenReleasePromises(results), nil
}

// inCluster runs this part again in front of a cluster: its network is its own.
func (b *bench) inCluster(ctx context.Context, out io.Writer) error {
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("go list -m: %w", err)
	}
	with := filepath.Join(b.dir, "with")
	if err := goCommand(ctx, "", "build", "-C", filepath.Join(strings.TrimSpace(string(module)), "e2e"), "-trimpath=false", "-o", with, "./with"); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, with, self, "-parts", "release", "-n", fmt.Sprint(b.settings.runs))
	cmd.Env = append(os.Environ(), insideVariable+"=true")
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}

// realCluster is a bench with the real Argo CD and an application there.
type realCluster struct {
	*bench
	argocd *meter
	apps   dynamic.NamespaceableResourceInterface
	works  dynamic.NamespaceableResourceInterface
}

// released is what one release has cost.
type released struct {
	sample
	argoCD int64         // bytes that the command and Argo CD have sent to each other
	delay  time.Duration // from when the controller has reported the application as healthy
}

func (b *bench) realCluster(ctx context.Context, argocd string) (*realCluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	there := *b
	r := &realCluster{
		bench: &there,
		apps:  client.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}),
		works: client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}),
	}
	if r.argocd, err = startMeter(os.Getenv("ARGOCD_SERVER")); err != nil {
		return nil, err
	}
	ca := os.Getenv("SLIPWAY_ARGOCD_CA_FILE")
	there.env = append(slices.Clone(b.env), "ARGOCD_SERVER="+r.argocd.address(), "ARGOCD_AUTH_TOKEN="+os.Getenv("ARGOCD_AUTH_TOKEN"),
		"SLIPWAY_ARGOCD_CA_FILE="+ca, "ARGOCD_OPTS=--server-crt "+ca,
		"PATH="+filepath.Dir(b.kustomize)+":"+filepath.Dir(argocd)+":"+os.Getenv("PATH"))
	if err := r.createRepository(ctx); err != nil {
		return nil, err
	}
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	for _, object := range []struct {
		to dynamic.ResourceInterface
		is map[string]any
	}{
		{namespaces, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": releasedNamespace}}},
		{r.apps.Namespace("argocd"), application(r.server.url(releasedApp))},
	} {
		if _, err := object.to.Create(ctx, &unstructured.Unstructured{Object: object.is}, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	// The first release creates everything, which is nobody's work.
	_, err = r.measure(ctx, releasings[1], "v1")
	return r, err
}

const releasedNamespace = "team-a-bench"

func application(repo string) map[string]any {
	return map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{"name": releasedApp, "namespace": "argocd"},
		"spec": map[string]any{
			"project":     "team-a",
			"source":      map[string]any{"repoURL": repo, "targetRevision": "main", "path": releasedPath},
			"destination": map[string]any{"namespace": releasedNamespace, "server": "https://kubernetes.default.svc"},
		},
	}
}

// createRepository serves a repository with one service, whose pods must be ready for two seconds.
func (r *realCluster) createRepository(ctx context.Context) error {
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  minReadySeconds: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.example.com/shop/web}]}
`
	work := filepath.Join(r.dir, releasedApp)
	err := writeFiles(work, map[string]string{
		releasedPath + "/kustomization.yaml": "resources: [deployment.yaml]\nimages:\n- name: " + releasedImage + "\n  newTag: v0\n",
		releasedPath + "/deployment.yaml":    deployment,
	})
	if err != nil {
		return err
	}
	bare := filepath.Join(r.repos, releasedApp+".git")
	return r.gitAll(ctx, work, [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "."},
		{"commit", "--quiet", "--message", "Import the service"},
		{"clone", "--quiet", "--bare", ".", bare},
		{"-C", bare, "config", "http.receivepack", "true"},
		{"-C", bare, "config", "uploadpack.allowFilter", "true"},
	})
}

// measure runs one release and checks that the cluster ran it when the command ended.
func (r *realCluster) measure(ctx context.Context, way releasing, tag string) (released, error) {
	seen, err := r.watch(ctx)
	if err != nil {
		return released{}, err
	}
	defer seen.stop()
	commands := way.commands(r, tag)
	if err := os.Mkdir(commands[0].dir, 0o755); err != nil {
		return released{}, err
	}
	if _, err := r.server.traffic(); err != nil {
		return released{}, err
	}
	before := r.argocd.bytes.Load()
	used, err := r.runAll(ctx, commands)
	if err != nil {
		return released{}, err
	}
	returned := time.Now()
	s := released{sample: sample{usage: used}, argoCD: r.argocd.bytes.Load() - before}
	if err := r.runs(ctx, tag); err != nil {
		return released{}, fmt.Errorf("it returned too early: %w", err)
	}
	if s.traffic, err = r.server.traffic(); err != nil {
		return released{}, err
	}
	commit, err := r.inRepo(releasedApp, "rev-parse", "main")
	if err != nil {
		return released{}, err
	}
	healthy, err := seen.healthySince(commit)
	if err != nil {
		return released{}, err
	}
	s.delay = returned.Sub(healthy)
	return s, nil
}

// runs looks into the cluster, past Argo CD.
func (r *realCluster) runs(ctx context.Context, tag string) error {
	web, err := r.works.Namespace(releasedNamespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	containers, _, _ := unstructured.NestedSlice(web.Object, "spec", "template", "spec", "containers")
	if len(containers) != 1 || containers[0].(map[string]any)["image"] != releasedImage+":"+tag {
		return fmt.Errorf("the Deployment has not %s: %v", tag, containers)
	}
	status, _, _ := unstructured.NestedMap(web.Object, "status")
	if status["observedGeneration"] != web.GetGeneration() || status["updatedReplicas"] != int64(2) || status["availableReplicas"] != int64(2) {
		return fmt.Errorf("%s is not rolled out: %v", tag, status)
	}
	return nil
}

// observation is what a controller has reported, and when.
type observation struct {
	at      time.Time
	commit  string
	healthy bool
}

// observations are those of the application while a release runs.
type observations struct {
	stop func()
	mu   sync.Mutex
	all  []observation
}

func (r *realCluster) watch(ctx context.Context) (*observations, error) {
	w, err := r.apps.Namespace("argocd").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + releasedApp})
	if err != nil {
		return nil, err
	}
	o := &observations{stop: w.Stop}
	go func() {
		for event := range w.ResultChan() {
			if app, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Deleted {
				o.add(app.Object)
			}
		}
	}()
	return o, nil
}

func (o *observations) add(app map[string]any) {
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(app, append([]string{"status"}, path...)...)
		return value
	}
	_, operating, _ := unstructured.NestedMap(app, "operation")
	one := observation{at: time.Now(), commit: text("sync", "revision")}
	one.healthy = !operating && text("sync", "status") == "Synced" && text("health", "status") == "Healthy" &&
		text("operationState", "phase") == "Succeeded" && text("operationState", "syncResult", "revision") == one.commit
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, one)
}

// healthySince returns when the application came to the state in which it was seen last, which must be Synced and Healthy at
// the commit, and its operation ended.
func (o *observations) healthySince(commit string) (time.Time, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var since time.Time
	for _, one := range slices.Backward(o.all) {
		if !one.healthy || one.commit != commit {
			break
		}
		since = one.at
	}
	if since.IsZero() {
		return since, fmt.Errorf("the controller has not reported %s as healthy: %+v", commit, o.all)
	}
	return since, nil
}

// meter forwards connections to a server and counts the bytes of both directions.
type meter struct {
	listener net.Listener
	bytes    atomic.Int64
}

func startMeter(to string) (*meter, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{listener: listener}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go m.forward(client, to)
		}
	}()
	return m, nil
}

func (m *meter) address() string { return m.listener.Addr().String() }

func (m *meter) forward(client net.Conn, to string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	ended := make(chan struct{}, 2)
	for from, to := range maps.All(map[net.Conn]net.Conn{client: server, server: client}) {
		go func() {
			_, _ = io.Copy(to, io.TeeReader(from, m))
			ended <- struct{}{}
		}()
	}
	<-ended
}

// Write counts.
func (m *meter) Write(p []byte) (int, error) {
	m.bytes.Add(int64(len(p)))
	return len(p), nil
}

// brokenReleasePromises looks at slipway's rows.
func brokenReleasePromises(results [][]released) []string {
	var failed []string
	const immediate = 1
	for _, one := range results[immediate] {
		if one.delay > time.Second {
			failed = append(failed, fmt.Sprintf("a release returned %v after the controller had reported it as healthy", one.delay))
		}
	}
	if own, script := medianRelease(results[immediate]), medianRelease(results[0]); own.wall > script.wall {
		failed = append(failed, fmt.Sprintf("a release takes %v, the script %v", own.wall, script.wall))
	}
	return failed
}

func writeReleases(out io.Writer, results [][]released) {
	t := newTable(out, "A release in front of the real Argo CD", "way", "wall s", "s after healthy, median", "most", "CPU s", "peak RSS MB",
		"Git KB", "Argo CD KB", "requests to Git")
	for i, way := range releasings {
		m := medianRelease(results[i])
		var most time.Duration
		for _, one := range results[i] {
			most = max(most, one.delay)
		}
		t.row(way.name, seconds(m.wall), fmt.Sprintf("%.3f", m.delay.Seconds()), fmt.Sprintf("%.3f", most.Seconds()), seconds(m.cpu),
			fmt.Sprintf("%.0f", float64(m.rss)/1e6), kilobytes(m.Down+m.Up), kilobytes(m.argoCD), fmt.Sprint(m.Requests))
	}
}

func medianRelease(all []released) released {
	var samples, delays, bytes []sample
	for _, one := range all {
		samples = append(samples, one.sample)
		delays = append(delays, sample{usage: usage{wall: one.delay}})
		bytes = append(bytes, sample{traffic: traffic{Down: one.argoCD}})
	}
	return released{sample: medians(samples), delay: medians(delays).wall, argoCD: medians(bytes).Down}
}
