package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// target is a directory with an overlay that is checked.
type target struct {
	dir     string
	path    string
	objects int
}

// smallTarget is the production overlay of one of the generated services.
func smallTarget(dir string) (target, error) {
	return target{dir, overlay{1, "prod"}.path(), 3}, writeFiles(dir, serviceFiles(1))
}

// largeTarget is one overlay over 25 services of eight objects each.
func largeTarget(dir string) (target, error) {
	const services = 25
	files := map[string]string{}
	var resources, images strings.Builder
	for i := range services {
		o := overlay{i, "prod"}
		for file, content := range serviceFiles(i) {
			if strings.HasPrefix(file, o.root()+"/base/") {
				files[file] = content
			}
		}
		files[o.root()+"/base/kustomization.yaml"] += "  - more.yaml\n"
		files[o.root()+"/base/more.yaml"] = fmt.Sprintf(moreYAML, o.name())
		_, _ = fmt.Fprintf(&resources, "  - ../%s/base\n", o.root())
		_, _ = fmt.Fprintf(&images, "  - name: %s\n    newTag: %s\n", o.image(), tag(i))
	}
	files["prod/resources.yaml"] = fmt.Sprintf(resourcesYAML, serviceName(0), 250)
	files["prod/kustomization.yaml"] = fmt.Sprintf("namespace: shop-prod\nresources:\n%simages:\n%spatches:\n  - path: resources.yaml\n", &resources, &images)
	return target{dir, "prod", 8 * services}, writeFiles(dir, files)
}

func writeFiles(dir string, files map[string]string) error {
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const moreYAML = `apiVersion: v1
kind: ServiceAccount
metadata:
  name: %[1]s
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: %[1]s
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: %[1]s
  minReplicas: 2
  maxReplicas: 6
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 70
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: %[1]s
spec:
  minAvailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: %[1]s
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: %[1]s
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: %[1]s
  policyTypes: [Ingress]
  ingress:
    - ports:
        - protocol: TCP
          port: http
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: %[1]s
spec:
  rules:
    - host: %[1]s.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: %[1]s
                port:
                  name: http
`
