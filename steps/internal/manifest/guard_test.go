package manifest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"slipway/steps/internal/manifest"
)

const (
	object     = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	kustomized = "app/kustomization.yaml"
)

// bomb expands to 10^9 nodes.
func bomb() string {
	lines := []string{"x0: &x0 [a, a, a, a, a, a, a, a, a, a]"}
	for i := 1; i < 9; i++ {
		items := strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10)
		lines = append(lines, fmt.Sprintf("x%d: &x%d [%s]", i, i, strings.TrimSuffix(items, ", ")))
	}
	return strings.Join(lines, "\n") + "\n"
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

func app(text string, more ...string) map[string]string {
	files := map[string]string{kustomized: text, "app/a.yaml": object}
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return files
}

// attacks are kustomizations that want more than a build may do. HOST is a server that must not be asked.
var attacks = map[string]struct {
	files map[string]string
	want  string
}{
	"a resource by HTTP":                      {app("resources:\n- HOST/a.yaml\n"), `app/kustomization.yaml:2: resources: "HOST/a.yaml" is a URL`},
	"a base by HTTP and Git":                  {app("resources: ['HOST/org/repo?ref=main']\n"), "is a URL"},
	"a base on GitHub without a scheme":       {app("resources: [github.com/org/repo]\n"), "is a URL"},
	"a directory named like a GitHub base":    {app("resources: [github.com/org/repo]\n", "app/github.com/org/repo/kustomization.yaml", "namePrefix: x\n"), "is a URL"},
	"a base by SSH":                           {app("resources: ['git@example.com:org/repo.git']\n"), "is a URL"},
	"a base by SSH with a scheme":             {app("resources: ['ssh://example.com/org/repo']\n"), "is a URL"},
	"a base by a forced protocol":             {app("resources: ['git::HOST/org/repo']\n"), "is a URL"},
	"a base in a local repository":            {app("resources: ['file:///etc']\n"), "is a URL"},
	"a scheme in capitals":                    {app("resources: ['HTTP://127.0.0.1/a.yaml']\n"), "is a URL"},
	"a resource by a merged key":              {app("<<: {resources: [HOST/a.yaml]}\n"), "is a URL"},
	"a resource by an alias":                  {app("metadata: {name: &u HOST/a.yaml}\nresources: [*u]\n"), "is a URL"},
	"a resource in base64":                    {app("resources: [!!binary aHR0cDovLzEyNy4wLjAuMS9hLnlhbWw=]\n"), "is a URL"},
	"a key in another case":                   {app("Resources: [HOST/a.yaml]\n"), "is a URL"},
	"a key with a letter that folds":          {app("re\u017fource\u017f: [HOST/a.yaml]\n"), "is a URL"},
	"a URL in bases":                          {app("bases: [HOST/a]\n"), "is a URL"},
	"a URL in components":                     {app("components: [HOST/a]\n"), "components: "},
	"a URL in crds":                           {app("crds: [HOST/a]\n"), "crds: "},
	"a URL in configurations":                 {app("configurations: [HOST/a]\n"), "configurations: "},
	"a URL in generators":                     {app("generators: [HOST/a]\n"), "generators: "},
	"a URL in transformers":                   {app("transformers: [HOST/a]\n"), "transformers: "},
	"a URL in validators":                     {app("validators: [HOST/a]\n"), "validators: "},
	"a URL in patches":                        {app("resources: [a.yaml]\npatches: [{path: HOST/a}]\n"), "patches: "},
	"a URL in patchesStrategicMerge":          {app("resources: [a.yaml]\npatchesStrategicMerge: [HOST/a]\n"), "patchesStrategicMerge: "},
	"a URL in patchesJson6902":                {app("resources: [a.yaml]\npatchesJson6902: [{path: HOST/a, target: {kind: ConfigMap}}]\n"), "patches: "},
	"a URL in openapi":                        {app("resources: [a.yaml]\nopenapi: {path: HOST/a}\n"), "openapi.path: "},
	"a URL in the openapi of a base":          {app("resources: [../base]\n", "base/kustomization.yaml", "openapi: {path: HOST/a}\n"), "base/kustomization.yaml:1: openapi.path: "},
	"a URL in replacements":                   {app("resources: [a.yaml]\nreplacements: [{path: HOST/a}]\n"), "replacements: "},
	"a URL in the files of a config map":      {app("configMapGenerator: [{name: a, files: [HOST/a]}]\n"), "configMapGenerator: "},
	"a URL behind a key of a config map":      {app("configMapGenerator: [{name: a, files: [k=HOST/a]}]\n"), "configMapGenerator: "},
	"a URL in the envs of a config map":       {app("configMapGenerator: [{name: a, envs: [HOST/a]}]\n"), "configMapGenerator: "},
	"a URL in the env of a config map":        {app("configMapGenerator: [{name: a, env: HOST/a}]\n"), "configMapGenerator: "},
	"a URL in the files of a secret":          {app("secretGenerator: [{name: a, files: [HOST/a]}]\n"), "secretGenerator: "},
	"a URL in a base's base":                  {app("resources: [../b]\n", "b/kustomization.yaml", "resources: [../c]\n", "c/kustomization.yml", "# c\nresources:\n- HOST/a\n"), `c/kustomization.yml:3: resources: "HOST/a" is a URL`},
	"a URL in a component":                    {app("components: [../b]\n", "b/kustomization.yaml", "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nresources: [HOST/a]\n"), "b/kustomization.yaml:3: resources: "},
	"a URL in a builtin patch transformer":    {app("resources: [a.yaml]\ntransformers: [t.yaml]\n", "app/t.yaml", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\nPath: HOST/a\n"), `app/t.yaml: transformers: "HOST/a" is a URL`},
	"a URL in an inline builtin generator":    {app("generators:\n- |-\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n  metadata: {name: t}\n  name: x\n  files: [k=HOST/a]\n"), "is a URL"},
	"a URL in a builtin replacement":          {app("resources: [a.yaml]\ntransformers: [t.yaml]\n", "app/t.yaml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: builtin\n  kind: ReplacementTransformer\n  metadata: {name: t}\n  replacements: [{path: HOST/a}]\n"), "is a URL"},
	"a URL in a directory of transformers":    {app("transformers: [../t]\n", "t/kustomization.yaml", "resources: [t.yaml]\n", "t/t.yaml", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: HOST/a\n"), "t/t.yaml: transformers: "},
	"a URL that is put together":              {app("transformers: [../t]\n", "t/kustomization.yaml", "resources: [t.yaml]\nimages: [{name: x, newName: http, newTag: //127.0.0.1/a}]\nconfigurations: [c.yaml]\n", "t/c.yaml", "images: [{path: path, kind: PatchTransformer}]\n", "t/t.yaml", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: x\n"), "may only list resources"},
	"a kustomization that is its resource":    {app("resources: [kustomization.yaml]\n"), "app: kustomization.yaml: missing Resource metadata"},
	"a kustomization that is a resource too":  {app("resources: [b/kustomization.yaml, b]\n", "app/b/kustomization.yaml", "resources: [HOST/a]\n"), "is a URL"},
	"a file outside":                          {app("resources: [../../etc/passwd]\n"), `app/kustomization.yaml:1: resources: "../../etc/passwd" leads out of the repository`},
	"an absolute file":                        {app("resources: [/etc/passwd]\n"), `"/etc/passwd" is an absolute path`},
	"the place where the build sees its root": {app("resources: [/repository/app/a.yaml]\n"), `"/repository/app/a.yaml" is an absolute path`},
	"a base outside":                          {app("resources: [../../..]\n"), "leads out of the repository"},
	"a base outside and in again":             {app("resources: [../../repository/b]\n", "b/kustomization.yaml", "namePrefix: x\n"), `"../../repository/b" leads out of the repository`},
	"a component outside":                     {app("components: [../../c]\n"), "leads out of the repository"},
	"a patch outside":                         {app("resources: [a.yaml]\npatches: [{path: ../../p}]\n"), "leads out of the repository"},
	"a patch in another directory":            {app("resources: [a.yaml]\npatches: [{path: ../b/p.yaml}]\n", "b/p.yaml", object), "outside of the kustomization's directory"},
	"a secret's file outside":                 {app("secretGenerator: [{name: a, files: [k=../../etc/shadow]}]\n"), "leads out of the repository"},
	"an env file outside":                     {app("configMapGenerator: [{name: a, envs: [../../.env]}]\n"), "leads out of the repository"},
	"a schema outside":                        {app("resources: [a.yaml]\nopenapi: {path: ../../s.json}\n"), "leads out of the repository"},
	"a replacement outside":                   {app("resources: [a.yaml]\nreplacements: [{path: ../../r}]\n"), "leads out of the repository"},
	"a file outside by a builtin transformer": {app("resources: [a.yaml]\ntransformers: [t.yaml]\n", "app/t.yaml", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: ../../etc/passwd\n"), "leads out of the repository"},
	"a file that is not there":                {app("resources:\n- a.yaml\n- missing.yaml\n"), `app/kustomization.yaml:3: resources: "missing.yaml" is not there`},
	"a directory without a kustomization":     {app("resources: [b]\n", "app/b/a.yaml", object), "b has 0 kustomization files"},
	"a directory with two kustomizations":     {app("resources: [b]\n", "app/b/kustomization.yaml", "", "app/b/Kustomization", ""), "b has 2 kustomization files"},
	"a helm chart":                            {app("helmCharts: [{name: c, repo: HOST, version: '1'}]\n"), "app/kustomization.yaml: helmCharts would run the program helm"},
	"helm globals":                            {app("HelmGlobals: {chartHome: /}\n"), "helmCharts would run"},
	"a helm chart in the old form":            {app("helmChartInflationGenerator: [{chartName: c, chartRepoUrl: HOST}]\n"), "helmCharts would run"},
	"a helm chart by a builtin generator":     {app("generators: [g.yaml]\n", "app/g.yaml", "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: g}\nname: c\nrepo: HOST\n"), "would run the program helm"},
	"an exec plugin":                          {app("generators: [g.yaml]\n", "app/g.yaml", "apiVersion: example.com/v1\nkind: Plugin\nmetadata: {name: g}\n"), "app/g.yaml: generators: Plugin is a plugin that would run a program"},
	"an inline exec plugin":                   {app("resources: [a.yaml]\ntransformers:\n- |-\n  apiVersion: example.com/v1\n  kind: Plugin\n  metadata: {name: g}\n"), "would run a program"},
	"an exec function": {app("resources: [a.yaml]\ntransformers: [f.yaml]\n", "app/f.yaml",
		"apiVersion: example.com/v1\nkind: F\nmetadata:\n  name: f\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/sh}\n"), "would run a program"},
	"a container function": {app("resources: [a.yaml]\nvalidators: [f.yaml]\n", "app/f.yaml",
		"apiVersion: example.com/v1\nkind: F\nmetadata:\n  name: f\n  annotations:\n    config.kubernetes.io/function: |\n      container: {image: HOST/f, network: true}\n"), "would run a program"},
	"a plugin in a directory":        {app("generators: [../g]\n", "g/kustomization.yaml", "resources: [g.yaml]\n", "g/g.yaml", "apiVersion: example.com/v1\nkind: Plugin\nmetadata: {name: g}\n"), "would run a program"},
	"a bomb in a resource":           {app("resources: [b.yaml]\n", "app/b.yaml", object+"data:\n"+indented(bomb())), "app/b.yaml: more than 500000 YAML nodes"},
	"a bomb in a second document":    {app("resources: [b.yaml]\n", "app/b.yaml", object+"---\n"+object+"data:\n"+indented(bomb())), "app/b.yaml: more than"},
	"a bomb in a kustomization":      {app("resources: [a.yaml]\nmetadata:\n  annotations:\n" + indented(bomb())), "app/kustomization.yaml: more than"},
	"a bomb in a base":               {app("resources: [../b]\n", "b/kustomization.yaml", bomb()), "b/kustomization.yaml: more than"},
	"a bomb in an inline patch":      {app("resources: [a.yaml]\npatches:\n- patch: |\n" + indented(object+"data:\n"+indented(bomb()))), "app/kustomization.yaml: more than"},
	"a bomb in a patch":              {app("resources: [a.yaml]\npatches: [{path: p.yaml}]\n", "app/p.yaml", object+"data:\n"+indented(bomb())), "app/p.yaml: more than"},
	"a bomb in a configuration":      {app("resources: [a.yaml]\nconfigurations: [p.yaml]\n", "app/p.yaml", bomb()), "app/p.yaml: more than"},
	"a bomb in a transformer":        {app("resources: [a.yaml]\ntransformers: [p.yaml]\n", "app/p.yaml", "apiVersion: builtin\nkind: PatchTransformer\n"+bomb()), "app/p.yaml: more than"},
	"a bomb in an inline generator":  {app("generators:\n- |\n" + indented("apiVersion: builtin\nkind: ConfigMapGenerator\n"+bomb())), "app/kustomization.yaml: more than"},
	"a bomb that is also data":       {app("resources: [p.yaml]\nconfigMapGenerator: [{name: x, files: [p.yaml]}]\n", "app/p.yaml", object+"data:\n"+indented(bomb())), "app/p.yaml: more than"},
	"an anchor that contains itself": {app("resources: [b.yaml]\n", "app/b.yaml", object+"data: &d {x: *d}\n"), "app/b.yaml: "},
	"deep nesting":                   {app("resources: [b.yaml]\n", "app/b.yaml", object+"data: "+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+"\n"), "app/b.yaml: nested deeper than 1000 levels"},
	"deep nesting by aliases": {app("resources: [b.yaml]\n", "app/b.yaml", object+"data:\n  x0: &x0 a\n"+func() (s string) {
		for i := 1; i < 2000; i++ {
			s += fmt.Sprintf("  x%d: &x%d [*x%d]\n", i, i, i-1)
		}
		return s
	}()), "app/b.yaml: nested deeper"},
	"nesting without an end":                                 {app("resources: [b.yaml]\n", "app/b.yaml", object+"data: "+strings.Repeat("[", 1_000_000)), "exceeded max depth"},
	"a file of commas":                                       {app("resources: [b.yaml]\n", "app/b.yaml", object+"data: ["+strings.Repeat("a,", 600_000)+"]\n"), "app/b.yaml: more than"},
	"a huge file":                                            {app("resources: [b.yaml]\n", "app/b.yaml", object+"# "+strings.Repeat("x", 6<<20)+"\n"), "app/b.yaml: larger than 5242880 bytes"},
	"a kustomization that includes itself":                   {app("resources: [.]\n"), "app/kustomization.yaml:1: resources: . includes this kustomization again"},
	"a kustomization that includes its own":                  {app("resources: [..]\n", "kustomization.yaml", "resources: [app]\n"), "resources: .. contains this kustomization"},
	"a cycle of three":                                       {app("resources: [../b]\n", "b/kustomization.yaml", "resources: [../c]\n", "c/kustomization.yaml", "resources: [../app]\n"), "c/kustomization.yaml:1: resources: ../app includes this kustomization again"},
	"a cycle through a component":                            {app("components: [../b]\n", "b/kustomization.yaml", "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\ncomponents: [../app]\n"), "includes this kustomization again"},
	"an image's name that is no pattern":                     {app("resources: [a.yaml]\nimages:\n- name: '['\n  newTag: x\n"), `app/kustomization.yaml:3: images: "[" is no image name`},
	"a schema that is none":                                  {app("resources: [b.yaml]\nopenapi: {path: s.json}\npatches: [{patch: '{apiVersion: x/v1, kind: B, metadata: {name: b}}'}]\n", "app/s.json", "[1, 2]\n", "app/b.yaml", "apiVersion: x/v1\nkind: B\nmetadata: {name: b}\n"), "app: kustomize stopped: invalid schema file"},
	"a key that is given twice":                              {app("resources: [a.yaml]\nnamePrefix: x\nresources: [a.yaml]\n"), "app/kustomization.yaml:3: resources is given twice, first in line 1"},
	"a key that a resource gives twice":                      {app("resources: [a.yaml, b.yaml]\n", "app/b.yaml", object+"---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\nspec:\n  replicas: 1\n  paused: true\n  replicas: 2\n"), "app/b.yaml:11: replicas is given twice, first in line 9"},
	"a key that a JSON file gives twice":                     {app("resources: [b.json]\n", "app/b.json", `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "name": "c"}}`), "app/b.json:1: name is given twice, first in line 1"},
	"a key that a list's item gives twice":                   {app("resources: [b.yaml]\n", "app/b.yaml", "apiVersion: v1\nkind: List\nitems:\n- "+strings.ReplaceAll(object, "\n", "\n  ")+"kind: x\n"), "app/b.yaml:7: kind is given twice, first in line 5"},
	"a key that a patch gives twice":                         {app("resources: [a.yaml]\npatches: [{path: p.yaml}]\n", "app/p.yaml", object+"data:\n  x: a\n  x: b\n"), "app/p.yaml:6: x is given twice, first in line 5"},
	"a key that an inline patch gives twice":                 {app("resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n    - {op: add, path: /data,\n       value: {}, op: remove}\n"), "app/kustomization.yaml:4: patches: op is given twice, in lines 1 and 2 of the patch"},
	"a key that an inline patch of the old form gives twice": {app("resources: [a.yaml]\npatchesStrategicMerge:\n- |\n" + indented(object+"data: {}\nkind: ConfigMap")), "app/kustomization.yaml:3: patchesStrategicMerge: kind is given twice, in lines 2 and 5 of the patch"},
	"a patch that copies its copies": {app("resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |-\n    - {op: add, path: /data, value: {a: b}}\n" + func() (s string) {
		for i := range 40 {
			s += fmt.Sprintf("    - {op: copy, from: /data, path: /data/x%d}\n", i)
		}
		return s
	}()), "exceeding the limit 4194304"},
	"a key that is given in two cases": {app("resources: [a.yaml]\nResources: [HOST/a]\n"), "app/kustomization.yaml:2: Resources is given twice"},
	"an entry that is empty":           {app("resources: ['']\n"), "an entry is empty"},
}

func TestAttacksAreRefused(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(server.Close)
	programs, started := t.TempDir(), filepath.Join(t.TempDir(), "started")
	for _, name := range []string{"git", "helm", "docker", "go", "sh", "bash"} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\necho "+name+" >> "+started+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", programs)
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range attack.files {
				lay(t, root, map[string]string{file: strings.ReplaceAll(text, "HOST", server.URL)})
			}
			// What would take for ever is refused by the limit of time, whose words are others.
			_, err := build(t, root)
			wantRefusal(t, err, root, strings.ReplaceAll(attack.want, "HOST", server.URL))
		})
	}
	if n := requests.Load(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
	if programs, err := os.ReadFile(started); err == nil {
		t.Errorf("programs were started: %s", programs)
	}
}

func build(t *testing.T, root string) (*manifest.Result, error) {
	t.Helper()
	source, err := manifest.Dir(root)
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Build(t.Context(), source, "app", manifest.Limits{})
}

func TestSymlinksAreFollowedInTheRepositoryOnly(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	lay(t, outside, map[string]string{"a.yaml": object, "b/kustomization.yaml": "namePrefix: x\n", "k.yaml": "namePrefix: x\n"})
	tests := map[string]struct {
		text, from, to string // to is below outside, or relative
		want           string // or "" for a build
	}{
		"a file outside":                       {"resources: [l.yaml]\n", "app/l.yaml", "OUT/a.yaml", "app/kustomization.yaml:1: resources: app/l.yaml: a symlink leads out of the repository"},
		"a directory outside":                  {"resources: [l]\n", "app/l", "OUT/b", "a symlink leads out of the repository"},
		"a directory in between":               {"resources: [l/a.yaml]\n", "app/l", "OUT", "a symlink leads out of the repository"},
		"a kustomization outside":              {"resources: [../b]\n", "b/kustomization.yaml", "OUT/k.yaml", "a symlink leads out of the repository"},
		"a secret's file outside":              {"secretGenerator: [{name: s, files: [l]}]\n", "app/l", "/etc/passwd", "a symlink leads out of the repository"},
		"a device":                             {"resources: [l]\n", "app/l", "/dev/zero", "a symlink leads out of the repository"},
		"a loop":                               {"resources: [l]\n", "app/l", "l", "app/l"},
		"a kustomization by another name":      {"resources: [../b]\n", "b/kustomization.yaml", "k.yaml", `b/k.yaml:1: resources: "http://127.0.0.1:1/a" is a URL`},
		"a file beside the kustomization":      {"resources: [l.yaml]\n", "app/l.yaml", "../b/a.yaml", "outside of the kustomization's directory"},
		"a file of the same directory":         {"resources: [l.yaml]\n", "app/l.yaml", "a.yaml", ""},
		"a kustomization of the repository":    {"resources: [l]\n", "app/l", "../c", ""},
		"a kustomization that leads to itself": {"resources: [l]\n", "app/l", ".", "includes this kustomization again"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			lay(t, root, app(test.text, "b/a.yaml", object, "b/k.yaml", "resources: ['http://127.0.0.1:1/a']\n", "c/kustomization.yaml", "namePrefix: x\n"))
			if err := os.Symlink(strings.Replace(test.to, "OUT", outside, 1), filepath.Join(root, test.from)); err != nil {
				t.Fatal(err)
			}
			_, err := build(t, root)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRefusal(t, err, root, test.want)
		})
	}
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	lay(t, root, app("resources: [pipe.yaml]\n"))
	if err := syscall.Mkfifo(filepath.Join(root, "app", "pipe.yaml"), 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	_, err := build(t, root)
	wantRefusal(t, err, root, "app/pipe.yaml: not a regular file")
}
