package argocd_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
	"slipway/steps/internal/argocd"
)

const conformancePolicy = `p, role:gitops, applications, get,  team-a/*, allow
p, role:gitops, applications, sync, team-a/*, allow
p, role:gitops, logs,         get,  team-a/*, allow
g, gitops, role:gitops
p, role:reader, applications, get, team-a/*, allow
g, reader, role:reader
`

// realms are the servers in process, one for each major version, or the real one.
func realms(t *testing.T, git *gitrepotest.Server) []realm {
	t.Helper()
	if os.Getenv("SLIPWAY_E2E_SERVER") != "" {
		return []realm{realCluster{}}
	}
	var all []realm
	for _, version := range []string{"v2.14.21", "v3.5.7"} {
		s := argocdtest.New(t, argocdtest.Options{Version: version, TLS: true, Policy: conformancePolicy, ProgressingFor: 100 * time.Millisecond})
		all = append(all, inProcess{s, version[:2], git})
	}
	return all
}

// inProcess is the server that the other tests rest on.
type inProcess struct {
	*argocdtest.Server
	version string
	git     *gitrepotest.Server
}

func (p inProcess) major() string { return p.version }

func (p inProcess) address() string { return p.Addr() }

func (p inProcess) settings(account string) argocd.Options {
	return argocd.Options{Server: p.Addr(), CAFile: p.CAFile(), EnvToken: p.Token(account, time.Time{})}
}

func (p inProcess) declare(a declared) error {
	return p.AddApp(argocdtest.App{
		Name: a.name, Project: "team-a", Repo: a.repo, Path: a.path, Revision: a.revision, DestNamespace: "team-a-" + a.name,
		Automated: a.automated, Rollout: rolloutByImage,
	})
}

// rolloutByImage is the rule by which the real cluster runs pods.
func rolloutByImage(w argocdtest.Workload) argocdtest.Outcome {
	for _, image := range w.Images {
		if strings.Contains(image, ":fail") {
			return argocdtest.ImagePullBackOff(image, 3*time.Second)
		}
		if strings.Contains(image, ":refused") {
			return argocdtest.Refused(`Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0`)
		}
	}
	return argocdtest.Healthy(100 * time.Millisecond)
}

// realCluster is the real Argo CD that e2e has started, and its Kubernetes.
type realCluster struct{}

func (realCluster) major() string { return os.Getenv("SLIPWAY_E2E_MAJOR") }

func (realCluster) address() string { return os.Getenv("SLIPWAY_E2E_SERVER") }

func (r realCluster) settings(account string) argocd.Options {
	return argocd.Options{
		Server: r.address(), CAFile: os.Getenv("SLIPWAY_E2E_CA_FILE"), EnvToken: os.Getenv("SLIPWAY_E2E_TOKEN_" + strings.ToUpper(account)),
	}
}

func (r realCluster) declare(a declared) error {
	policy := "{}"
	if a.automated {
		policy = "{automated: {}}"
	}
	namespace := "team-a-" + a.name
	object := fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", namespace)
	if err := apply("/api/v1/namespaces/"+namespace, object); err != nil {
		return err
	}
	object = fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %s, namespace: argocd}
spec:
  project: team-a
  source: {repoURL: %q, targetRevision: %q, path: %q}
  destination: {namespace: %s, server: "https://kubernetes.default.svc"}
  syncPolicy: %s
`, a.name, a.repo, a.revision, a.path, namespace, policy)
	return apply("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/"+a.name, object)
}

// apply creates or changes an object of Kubernetes.
func apply(path, object string) error {
	url := os.Getenv("SLIPWAY_E2E_KUBERNETES") + path + "?fieldManager=conformance&force=true"
	request, err := http.NewRequest(http.MethodPatch, url, bytes.NewReader([]byte(object)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/apply-patch+yaml")
	request.Header.Set("Authorization", "Bearer "+os.Getenv("SLIPWAY_E2E_KUBERNETES_TOKEN"))
	// It makes its certificate itself.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, answer)
	}
	return err
}

// passing is what no two runs have in common.
var passing = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z| \+0000 UTC)`), "TIME"},
	{regexp.MustCompile(`web-[0-9a-f]{6,10}-[a-z0-9]{5}`), "web-POD"},
	{regexp.MustCompile(`web-[0-9a-f]{8,10}\b`), "web-REPLICASET"},
	{regexp.MustCompile(`"/dev/shm/\d+"`), "FILE"},
	{regexp.MustCompile(`Manifest generation error \(cached\): `), ""}, // after some attempts
}

// normal replaces what depends on the moment and the place by names.
func (c *conversation) normal(record string) string {
	for i, commit := range c.commits {
		for _, length := range []int{40, 12, 7} {
			record = strings.ReplaceAll(record, commit[:length], fmt.Sprintf("COMMIT%d", i+1))
		}
	}
	record = strings.ReplaceAll(record, c.git.URL(c.repo()), "REPOSITORY")
	record = strings.ReplaceAll(record, c.realm.address(), "SERVER")
	record = strings.ReplaceAll(record, c.name, c.topic)
	for _, p := range passing {
		record = p.pattern.ReplaceAllString(record, p.name)
	}
	return record
}
