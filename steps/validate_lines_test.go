package steps_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway/steps"
)

// validated is what validate says on stdout.
type validated struct {
	Step    string
	Outcome string
	Details struct{ Findings []steps.Finding }
	Error   struct {
		Category string
		Details  struct{ Findings []steps.Finding }
	}
}

func validate(t *testing.T, args ...string) (document string, findings []steps.Finding) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	noSecrets := func(string) (string, bool) { return "", false }
	code := steps.Main(context.Background(), append([]string{"slipway", "validate"}, args...), nil, &stdout, &stderr, noSecrets)
	var v validated
	if err := json.Unmarshal(stdout.Bytes(), &v); err != nil || code == steps.ExitFailure {
		t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), append(v.Details.Findings, v.Error.Details.Findings...)
}

// marker stands at the line where a finding has to be.
const marker = "# <-"

// mistakes are changes to one good file of several objects: each is found in its line, with its object and a fix. A case
// without a marker in what it writes has it in the rest of the file.
var mistakes = []struct{ name, from, to, object, says string }{
	{"unknown field", "        imagePullPolicy: Always", "        imagePullPolice: Always # <-", "Deployment shop/web", "did you mean imagePullPolicy?"},
	{"wrong type", "  replicas: 2", "  replicas: two # <-", "Deployment shop/web", "must be a whole number"},
	{"missing selector", "spec: # web\n  selector: {matchLabels: {app: web}}", "spec: # <-", "Deployment shop/web", "required field is missing"},
	{"label value", "  labels: {team: shop}", "  labels: {team: a b} # <-", "Deployment shop/web", "label value"},
	{"image reference", "        image: registry.example/web:1.0", "        image: registry.example/Web:1.0 # <-", "Deployment shop/web", "lower-case"},
	{"quantity", "          limits: {memory: 64Mi}", "          limits: {memory: 64Mbb} # <-", "Deployment shop/web", "no quantity"},
	{"selector without template label", "  selector: {matchLabels: {app: web}}", "  selector: {matchLabels: {app: other}} # <-", "Deployment shop/web", "does not match"},
	{"name", "metadata: {name: settings, namespace: shop}", "metadata: {name: My_settings, namespace: shop} # <-", "ConfigMap shop/My_settings", "my-settings"},
	{"port out of range", "        - containerPort: 8080", "        - containerPort: 99999 # <-", "Deployment shop/web", "out of range"},
	{"restart policy", "      restartPolicy: Always", "      restartPolicy: Sometimes # <-", "Deployment shop/web", "Always"},
	{"duplicate container", "      - name: sidecar", "      - name: web # <-", "Deployment shop/web", "duplicate"},
	{"variable that is a number", `          value: "1"`, "          value: 1 # <-", "Deployment shop/web", `quote it: "1"`},
	{"removed API", "apiVersion: apps/v1 # web", "apiVersion: extensions/v1beta1 # <-", "Deployment shop/web", "removed in 1.16"},
	{"mount without volume", "        - {name: data, mountPath: /data}", "        - {name: date, mountPath: /data} # <-", "Deployment shop/web", "no volume"},
	{"data that is a number", `  level: "3"`, "  level: 3 # <-", "ConfigMap shop/settings", "quote it"},
	{"key that is quoted", `  "tls.crt": x`, `  "tls.crt": 7 # <-`, "ConfigMap shop/settings", "quote it"},
	{"schedule", `  schedule: "5 4 * * *"`, "  schedule: every day # <-", "CronJob shop/nightly", "five fields"},
	{"unknown field of an application", "  project: default", "  project: default\n  sorce: # <-\n    repoURL: x", "Application argocd/web", "did you mean source?"},
	{"missing project of an application", "spec: # application\n  project: default", "spec: # <-", "Application argocd/web", "required field is missing"},
	{"unknown kind", "apiVersion: v1 # settings\nkind: ConfigMap", "apiVersion: v1 # settings\nkind: ConfgMap # <-", "ConfgMap shop/settings", "did you mean ConfigMap?"},
	{"unknown field of a pipeline", "  type: pipeline", "  type: pipeline\n  tpye: x # <-", "Pipeline shop/build", "did you mean type?"},
	{"type of a pipeline", "  type: pipeline", "  type: freestyle # <-", "Pipeline shop/build", "pipeline"},
	{"negative replicas", "  replicas: 2", "  replicas: -1 # <-", "Deployment shop/web", "at least 0"},
	{"protocol in lower case", "          protocol: TCP", "          protocol: tcp # <-", "Deployment shop/web", "write TCP"},
	{"port of a service", "  - port: 80", "  - port: 80000 # <-", "Service shop/web", "out of range"},
	{"target port that no container has", "    targetPort: 8080", "    targetPort: http # <-", "Service shop/web", "no container that the service selects"},
	{"a list that is a text", "        command: [serve]", "        command: serve # <-", "Deployment shop/web", `begins with "- "`},
	{"a value of a merged mapping", "    cpu: 100m", "    cpu: a lot # <-", "Job shop/migrate", "no quantity"},
	{"restart policy of a job", "      restartPolicy: Never", "      restartPolicy: Always # <-", "Job shop/migrate", "OnFailure"},
	{"item of a list", "  data: {a: b}", "  data: {a: 1} # <-", "ConfigMap shop/listed", "quote it"},
	{"missing rules of an ingress", "spec: # ingress\n  rules:", "spec: # <-\n  rulse:", "Ingress shop/web", "rules"},
	{"path of an ingress", "      - path: /", "      - path: shop # <-", "Ingress shop/web", "not absolute"},
	{"bounds of a scaler", "  maxReplicas: 3", "  maxReplicas: 1 # <-", "HorizontalPodAutoscaler shop/web", "less than minReplicas"},
	{"budget", "  minAvailable: 1", "  minAvailable: most # <-", "PodDisruptionBudget shop/web", "percentage"},
}

const goodFile = `# The objects of a shop.
apiVersion: apps/v1 # web
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {team: shop}
spec: # web
  selector: {matchLabels: {app: web}}
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      restartPolicy: Always
      containers:
      - name: web
        image: registry.example/web:1.0
        imagePullPolicy: Always
        command: [serve]
        ports:
        - containerPort: 8080
          protocol: TCP
        env:
        - name: WORKERS
          value: "1"
        resources:
          limits: {memory: 64Mi}
        volumeMounts:
        - {name: data, mountPath: /data}
      - name: sidecar
        image: registry.example/sidecar:1.0
      volumes:
      - {name: data, emptyDir: {}}
---
apiVersion: v1 # settings
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data:
  level: "3"
  "tls.crt": x
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  schedule: "5 4 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers: [{name: a, image: a:1}]
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  namespace: shop
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: a
        image: a:1
        resources:
          limits: {memory: 1Gi}
          requests: &small
            memory: 1Mi
            cpu: 100m
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec: # application
  project: default
  destination: {server: 'https://kubernetes.default.svc', namespace: shop}
  source: {repoURL: 'https://git.example.com/gitops.git', path: web}
---
apiVersion: devops.kubesphere.io/v1alpha3
kind: Pipeline
metadata: {name: build, namespace: shop}
spec:
  type: pipeline
  pipeline: {name: build}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports:
  - port: 80
    targetPort: 8080
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: other, namespace: shop}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: listed, namespace: shop}
  data: {a: b}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: # ingress
  rules:
  - http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 3
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: web}}
`

func TestFindingsNameTheLineOfAMistake(t *testing.T) {
	dir := t.TempDir()
	want := map[string]string{}
	write := func(path, file, content string) {
		write(t, filepath.Join(dir, path, "kustomization.yaml"), "resources: ["+file+"]\n")
		write(t, filepath.Join(dir, path, file), content)
	}
	write("good", "all.yaml", goodFile)
	for _, m := range mistakes {
		path := strings.ReplaceAll(m.name, " ", "-")
		content := strings.Replace(goodFile, m.from, m.to, 1)
		if content == goodFile {
			t.Fatalf("%s changes nothing", m.name)
		}
		write(path, "all.yaml", content)
		want[path] = fmt.Sprintf("%s/all.yaml:%d", path, markedLine(t, content))
	}
	_, findings := validate(t, "--dir", dir, "--all")
	for _, m := range mistakes {
		path := strings.ReplaceAll(m.name, " ", "-")
		assertFinding(t, findings, path, want[path], m.object, m.says)
		for _, f := range findings {
			if f.Path == "good" {
				t.Errorf("the file without a mistake has one: %+v", f)
			}
		}
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func markedLine(t *testing.T, content string) int {
	t.Helper()
	before, _, ok := strings.Cut(content, marker)
	if !ok {
		t.Fatalf("no line is marked:\n%s", content)
	}
	return strings.Count(before, "\n") + 1
}

// assertFinding checks that a path has one finding, or several of which one is as it should be.
func assertFinding(t *testing.T, findings []steps.Finding, path, place, object, says string) {
	t.Helper()
	var got []string
	for _, f := range findings {
		if f.Path != path {
			continue
		}
		at := f.File
		if f.Line > 0 {
			at = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if at == place && f.Object == object && strings.Contains(f.Message+" | "+f.Fix, says) && f.Fix != "" {
			return
		}
		got = append(got, fmt.Sprintf("%s %s %s: %s | %s", at, f.Object, f.Field, f.Message, f.Fix))
	}
	t.Errorf("%s\n  want %s %s ...%s...\n  got  %s", path, place, object, says, strings.Join(got, "\n       "))
}

// TestFindingsNameWhatSetsAValue has one archive for each story in testdata/lines: the first line of its comment is the
// object, the second a part of what is said; the line is the one with the marker, or "at" names the file of a finding
// without a line. The kustomization to check is in overlay.
func TestFindingsNameWhatSetsAValue(t *testing.T) {
	archives, err := filepath.Glob("testdata/lines/*.txtar")
	if err != nil || len(archives) < 20 {
		t.Fatalf("%d archives, %v", len(archives), err)
	}
	dir := t.TempDir()
	type expected struct{ place, object, says string }
	want := map[string]expected{}
	head := regexp.MustCompile(`(?s)^(.*?)\nobject: ?(.*?)\nsays: (.*?)\n(?:at: (.*?)\n)?$`)
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := head.FindStringSubmatch(string(archive.Comment))
		if m == nil {
			t.Fatalf("%s: a comment of another form: %s", name, archive.Comment)
		}
		story := strings.TrimSuffix(filepath.Base(name), ".txtar")
		e := expected{object: m[2], says: m[3]}
		if m[4] != "" {
			e.place = story + "/" + m[4]
		}
		for _, f := range archive.Files {
			write(t, filepath.Join(dir, story, f.Name), string(f.Data))
			if strings.Contains(string(f.Data), marker) {
				e.place = fmt.Sprintf("%s/%s:%d", story, f.Name, markedLine(t, string(f.Data)))
			}
		}
		want[story+"/overlay"] = e
	}
	var paths []string
	for path := range want {
		paths = append(paths, "--path", path)
	}
	_, findings := validate(t, append([]string{"--dir", dir}, paths...)...)
	for path, e := range want {
		assertFinding(t, findings, path, e.place, e.object, e.says)
	}
}
