package steps_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
	"slipway/steps"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	heading   = regexp.MustCompile(`(?m)^(#+) `)
	title     = regexp.MustCompile(`(?m)^#+ (.*)$`)
	tableRow  = regexp.MustCompile("(?m)^\\| ?(`[a-z-]+`|[0-9]+)")
)

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadmeIsTheSameInChinese(t *testing.T) {
	english, chinese := readPage(t, "README.md"), readPage(t, "README.zh-CN.md")
	headings := func(page string) (levels []string) {
		for _, match := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(page, ""), -1) {
			levels = append(levels, match[1])
		}
		return levels
	}
	for what, find := range map[string]func(string) []string{
		"headings":    headings,
		"code blocks": func(page string) []string { return codeBlock.FindAllString(page, -1) },
		"rows":        func(page string) []string { return tableRow.FindAllString(page, -1) },
	} {
		if diff := cmp.Diff(find(english), find(chinese)); diff != "" {
			t.Errorf("the two pages differ in their %s (-README.md +README.zh-CN.md):\n%s", what, diff)
		}
	}
}

func TestReadmeNamesAllSteps(t *testing.T) {
	page := readPage(t, "README.md")
	for _, cmd := range steps.App().VisibleCommands() {
		if name := strings.Fields(cmd.Name)[0]; !strings.Contains(page, "`"+name+"`") {
			t.Errorf("README.md does not name the step %s", name)
		}
	}
}

var command = regexp.MustCompile(`\bslipway ((?:[a-z]+-)*[a-z]+(?: open| resolve)?)\b([^'\n]*)`)

var (
	link     = regexp.MustCompile(`\]\(([^)]*)\)`)
	unlinked = regexp.MustCompile(`[^\pL\pN _-]`)
)

func TestPagesLinkToWhatIsThere(t *testing.T) {
	for _, page := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(readPage(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			name := page
			if target != "" {
				name = path.Join(path.Dir(page), target)
			}
			if _, err := os.Stat("../" + name); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if anchor != "" && !slices.Contains(anchors(t, name), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, name, anchor)
			}
		}
	}
}

// anchors returns the names that forges give to headings.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var names []string
	for _, match := range title.FindAllStringSubmatch(codeBlock.ReplaceAllString(readPage(t, page), ""), -1) {
		names = append(names, strings.ReplaceAll(unlinked.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return names
}

// pages returns the names of all pages.
func pages(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			names = append(names, strings.TrimPrefix(name, "../"))
		}
	}
	return names
}

func TestPagesCallStepsWithFlagsThatTheyHave(t *testing.T) {
	for _, name := range pages(t) {
		for _, block := range codeBlock.FindAllStringSubmatch(readPage(t, name), -1) {
			for _, call := range command.FindAllStringSubmatch(strings.ReplaceAll(block[2], "\\\n", " "), -1) {
				if !strings.HasPrefix(call[2], ":") { // of a message
					checkCall(t, name, call[1], call[2])
				}
			}
		}
	}
}

func checkCall(t *testing.T, page, step, args string) {
	t.Helper()
	cmd := steps.App().Command(step)
	if cmd == nil {
		t.Errorf("%s: slipway %s: there is no such step", page, step)
		return
	}
	for word := range strings.FieldsSeq(args) {
		flag, isFlag := strings.CutPrefix(word, "--")
		has := func(f documentedFlag) bool { return f.Names()[0] == flag }
		if isFlag && !slices.ContainsFunc(documented(cmd), has) {
			t.Errorf("%s: slipway %s has no flag --%s", page, step, flag)
		}
	}
}

var (
	variable  = regexp.MustCompile(`(?m)^    ([A-Z_]+) += ['"](.*)['"]$`)
	shellStep = regexp.MustCompile(`sh '([^']*)'`)
)

// What README shows first must work as it stands there, but for the servers, and for half an hour.
func TestThePipelineOfReadmeReleases(t *testing.T) {
	t.Parallel()
	page := readPage(t, "README.md")
	start := strings.Index(page, "```groovy\n")
	pipeline := codeBlock.FindStringSubmatch(page[max(start, 0):])
	if start < 0 || pipeline == nil {
		t.Fatal("README.md shows no pipeline")
	}
	git := gitrepotest.New(t, gitrepotest.Options{})
	if err := git.CreateRepo("gitops", gitrepotest.RepoOptions{Dir: "../examples/gitops-repo"}); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, match := range variable.FindAllStringSubmatch(pipeline[2], -1) {
		values[match[1]] = strings.ReplaceAll(match[2], "${params.TAG}", "9.9.9")
	}
	cd := argocdtest.New(t, argocdtest.Options{})
	app := values["SLIPWAY_APP"]
	err := cd.AddApp(argocdtest.App{Name: app, Repo: git.URL("gitops"), Path: values["SLIPWAY_PATH"], Revision: "main", Deployed: true})
	if err != nil {
		t.Fatal(err)
	}
	values["SLIPWAY_REPO"], values["ARGOCD_SERVER"], values["ARGOCD_AUTH_TOKEN"] = git.URL("gitops"), cd.Addr(), cd.Token("admin", time.Time{})
	values["SLIPWAY_ARGOCD_PLAINTEXT"], values["SLIPWAY_SETTLE"], values["SLIPWAY_POLL"] = "true", "0s", "100ms"
	dir := t.TempDir()
	env := gitrepotest.Environ(dir)
	for name, value := range values {
		env = append(env, name+"="+value)
	}
	for _, match := range shellStep.FindAllStringSubmatch(pipeline[2], -1) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(match[1], "30m", "1s"))
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", match[1], err, out)
		}
	}
	if images := strings.Join(cd.App(app).Status.Summary.Images, " "); !strings.Contains(images, values["SLIPWAY_IMAGE"]) {
		t.Errorf("%s runs %s, not %s", app, images, values["SLIPWAY_IMAGE"])
	}
	if refs, err := git.Git("gitops", "for-each-ref", "refs/slipway/approvals"); err != nil || refs == "" {
		t.Errorf("nobody was asked: %v", err)
	}
}
