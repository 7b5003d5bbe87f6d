package manifest_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/steps/internal/manifest"
)

// services returns a kustomization of so many objects: Deployments with a Service and a ConfigMap each.
func services(t testing.TB, objects int) manifest.Source {
	t.Helper()
	var all strings.Builder
	for i := range objects {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&all, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-%[1]d, labels: {app: app-%[1]d}}
spec:
  replicas: 2
  selector: {matchLabels: {app: app-%[1]d}}
  template:
    metadata: {labels: {app: app-%[1]d}}
    spec:
      containers:
      - name: app
        image: registry.local/app-%[1]d:v1
        ports: [{containerPort: 8080, name: http}]
        envFrom: [{configMapRef: {name: app-%[1]d}}]
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 5}
        resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
`, i/3)
		case 1:
			fmt.Fprintf(&all, "---\napiVersion: v1\nkind: Service\nmetadata: {name: app-%[1]d}\nspec:\n  selector: {app: app-%[1]d}\n  ports: [{port: 80, targetPort: http}]\n", i/3)
		case 2:
			fmt.Fprintf(&all, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: app-%d}\ndata: {LOG_LEVEL: info, PORT: '8080'}\n", i/3)
		}
	}
	return files(t, map[string]string{
		kustomized:                "resources: [../base]\nnamespace: prod\nimages: [{name: registry.local/app-0, newTag: v2}]\n",
		"base/kustomization.yaml": "resources: [all.yaml]\nlabels: [{pairs: {team: web}}]\n",
		"base/all.yaml":           all.String(),
	})
}

// BenchmarkBuild is what a build costs here and in a process of its own, which starts anew for each.
func BenchmarkBuild(b *testing.B) {
	command := child(b, "builds")
	ways := []struct {
		name  string
		build func(context.Context, manifest.Source, string, manifest.Limits) (*manifest.Result, error)
	}{
		{"here", manifest.Build},
		{"isolated", func(ctx context.Context, s manifest.Source, dir string, l manifest.Limits) (*manifest.Result, error) {
			return manifest.BuildIsolated(ctx, command, s, dir, l)
		}},
	}
	for _, objects := range []int{3, 200} {
		source := services(b, objects)
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/%d", way.name, objects), func(b *testing.B) {
				before := processorTime(b)
				for b.Loop() {
					if _, err := way.build(b.Context(), source, "app", manifest.Limits{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((processorTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

// processorTime is what this process and its children that have ended took.
func processorTime(b *testing.B) (sum time.Duration) {
	b.Helper()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return sum
}
