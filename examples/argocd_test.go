package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
)

// stand is the Argo CD of the examples, in process, and the repository that its Application reads.
type stand struct {
	argocd      *argocdtest.Server
	policy, url string
	env         []string
	application []string
	project     []string
}

const image = "registry.example.com/shop/shop-web:5.1.0"

func newStand(t *testing.T) *stand {
	t.Helper()
	git := gitrepotest.New(t, gitrepotest.Options{})
	if err := git.CreateRepo("gitops", gitrepotest.RepoOptions{Dir: "gitops-repo"}); err != nil {
		t.Fatal(err)
	}
	config := documents(t, "argocd/argocd-rbac-cm.yaml")[0].Data
	s := &stand{policy: config["policy.csv"], url: git.URL("gitops")}
	if config["policy.default"] != "" {
		t.Errorf("everybody is %s", config["policy.default"])
	}
	s.argocd = argocdtest.New(t, argocdtest.Options{Policy: s.policy, EnforceLogs: true})

	application := documents(t, "argocd/application.yaml")[0]
	project := application.Spec["project"].(string)
	source := application.Spec["source"].(map[string]any)
	destination := application.Spec["destination"].(map[string]any)
	app := argocdtest.App{
		Name: application.Metadata.Name, Project: project, Repo: s.url, Path: source["path"].(string),
		Revision: source["targetRevision"].(string), DestNamespace: destination["namespace"].(string), Deployed: true,
	}
	s.application, s.project = []string{"--repo", s.url, "--path", app.Path, "--app", app.Name}, []string{"--project", project}
	other := app
	other.Name, other.Project = "other", "team-b"
	for _, a := range []argocdtest.App{app, other} {
		if err := s.argocd.AddApp(a); err != nil {
			t.Fatal(err)
		}
	}
	account := strings.TrimPrefix(oneKey(t, documents(t, "argocd/argocd-cm.yaml")[0].Data), "accounts.")
	s.env = append(gitrepotest.Environ(t.TempDir()),
		"ARGOCD_SERVER="+s.argocd.Addr(), "ARGOCD_AUTH_TOKEN="+s.argocd.Token(account, time.Time{}), "SLIPWAY_ARGOCD_PLAINTEXT=true",
		"SLIPWAY_SETTLE=0s", "SLIPWAY_DEGRADED_GRACE=0s", "SLIPWAY_RECORD="+filepath.Join(t.TempDir(), "release.json"))
	return s
}

func oneKey(t *testing.T, m map[string]string) string {
	t.Helper()
	if len(m) != 1 {
		t.Fatalf("%v has not one key", m)
	}
	for key := range m {
		return key
	}
	return ""
}

func (s *stand) slipway(t *testing.T, step string, flags ...string) ended {
	t.Helper()
	return run(t, t.TempDir(), s.env, "slipway", append(append([]string{step}, s.application...), flags...)...)
}

func TestTheAccountOfArgoCDMayReleaseItsApplications(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	if got := s.slipway(t, "doctor", s.project...); got.code != 0 || strings.Contains(got.stdout, `"status":"warning"`) {
		t.Errorf("doctor: exit %d\n%s", got.code, got.stderr)
	}
	if got := s.slipway(t, "release", "--image", image); got.code != 0 {
		t.Errorf("release: exit %d\n%s", got.code, got.stderr)
	}
}

func TestTheAccountOfArgoCDMayNothingElse(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	got := run(t, t.TempDir(), s.env, "slipway", "argocd-sync", "--app", "other", "--project", "team-b", "--revision", strings.Repeat("1", 40))
	if got.code != 9 {
		t.Errorf("an application of another project: exit %d, not 9\n%s", got.code, got.stderr)
	}
}

func TestTheAccountOfArgoCDNeedsEachOfItsRights(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	lines := strings.Split(strings.TrimSpace(s.policy), "\n")
	for i, line := range lines {
		t.Run("without "+line, func(t *testing.T) {
			rest := append(append([]string{}, lines[:i]...), lines[i+1:]...)
			if err := s.argocd.SetPolicy(strings.Join(rest, "\n")); err != nil {
				t.Fatal(err)
			}
			if got := s.slipway(t, "doctor", s.project...); got.code == 0 && !strings.Contains(got.stdout, `"status":"warning"`) {
				t.Errorf("doctor misses nothing:\n%s", got.stderr)
			}
		})
	}
}

func TestTheRepositoriesOfTheProjectAreThoseOfItsApplications(t *testing.T) {
	t.Parallel()
	project, application := documents(t, "argocd/appproject.yaml")[0], documents(t, "argocd/application.yaml")[0]
	if application.Spec["project"] != project.Metadata.Name {
		t.Errorf("the project is %v, not %s", application.Spec["project"], project.Metadata.Name)
	}
	source, destination := application.Spec["source"].(map[string]any), application.Spec["destination"].(map[string]any)
	if got := project.Spec["sourceRepos"].([]any); len(got) != 1 || got[0] != source["repoURL"] {
		t.Errorf("sourceRepos: %v", got)
	}
	if got := project.Spec["destinations"].([]any); len(got) != 1 || got[0].(map[string]any)["namespace"] != destination["namespace"] {
		t.Errorf("destinations: %v", got)
	}
	if _, err := os.Stat(filepath.Join("gitops-repo", source["path"].(string))); err != nil {
		t.Error(err)
	}
}
