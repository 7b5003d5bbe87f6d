package kustomization_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/kustomization"
)

const mergeBase = `# overlay
resources:
- ../base
images:
- name: app
  newTag: v1 # app
- name: web
  newName: r/web
  newTag: v1
`

func change(old, updated string) string { return strings.Replace(mergeBase, old, updated, 1) }

func TestMergeMergesImagesByName(t *testing.T) {
	app2 := change("v1 # app", "v2 # app")
	digest := "sha256:" + strings.Repeat("a", 64)
	added := mergeBase + "- name: a\n  newTag: v1\n"
	tagged := func(file, tag string) string {
		return strings.Replace(file, "r/web\n  newTag: v1", "r/web\n  newTag: "+tag, 1)
	}
	digested := change("newTag: v1 # app", "digest: "+digest)
	commented := change("v1 # app", "v2 # ours")
	tests := map[string]struct{ ours, theirs, want string }{
		"two images next to each other": {app2, tagged(mergeBase, "v9"), tagged(app2, "v9")},
		"both set the same":             {app2, app2, app2},
		"only theirs changed":           {mergeBase, app2, app2},
		"only ours changed":             {app2, mergeBase, app2},
		"name and tag of one": {
			app2, change("name: app\n", "name: app\n  newName: r/app\n"), strings.Replace(app2, "name: app\n", "name: app\n  newName: r/app\n", 1),
		},
		"both add at the end": {
			mergeBase + "- name: a\n  newTag: v1 # a\n", mergeBase + "- name: b\n  newTag: v1\n",
			mergeBase + "- name: a\n  newTag: v1 # a\n- name: b\n  newTag: v1\n",
		},
		"both add the same":        {added, mergeBase + "- name: a\n  newTag: \"v1\"\n", mergeBase + "- name: a\n  newTag: \"v1\"\n"},
		"theirs removes":           {app2, change("- name: web\n  newName: r/web\n  newTag: v1\n", ""), strings.Split(app2, "- name: web")[0]},
		"tag to digest":            {digested, tagged(mergeBase, "v2"), tagged(digested, "v2")},
		"ours has another comment": {commented, tagged(mergeBase, "v2"), tagged(commented, "v2")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := func(_, ours, theirs []byte) ([]byte, bool) {
				t.Errorf("a line merge was needed:\n%s\n%s", ours, theirs)
				return nil, false
			}
			got, conflicts, ok := kustomization.Merge([]byte(mergeBase), []byte(test.ours), []byte(test.theirs), text)
			if !ok || len(conflicts) > 0 {
				t.Fatalf("ok %v, conflicts %v", ok, conflicts)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeLeavesTheRestToTheLineMerge(t *testing.T) {
	ours, theirs := change("v1 # app", "v2 # app"), change("# overlay", "# the overlay")
	base, text := "", func(_, _, _ []byte) ([]byte, bool) {
		t.Error("both sides' text does not differ")
		return nil, false
	}
	got, _, ok := kustomization.Merge([]byte(mergeBase), []byte(ours), []byte(theirs), text)
	if want := strings.Replace(ours, "# overlay", "# the overlay", 1); !ok || string(got) != want {
		t.Errorf("ok %v, merged:\n%s", ok, got)
	}
	text = func(b, _, _ []byte) ([]byte, bool) {
		base = string(b)
		return nil, false
	}
	if _, _, ok = kustomization.Merge([]byte(mergeBase), []byte(ours+"# end\n"), []byte(theirs), text); ok {
		t.Error("lines that conflict are merged")
	}
	if base != ours {
		t.Errorf("the line merge saw image values that differ:\n%s", base)
	}
}

func TestMergeReportsConflictsOfImageValues(t *testing.T) {
	d1, d2 := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	tests := map[string]struct {
		ours, theirs string
		want         []kustomization.Conflict
	}{
		"two tags, and two names": {
			strings.Replace(change("v1 # app", "v2 # app"), "r/web", "r/ours", 1),
			strings.Replace(change("v1 # app", "v3 # app"), "r/web", "r/theirs", 1),
			[]kustomization.Conflict{
				{Key: "images[name=app].newTag", Base: "v1", Ours: "v2", Theirs: "v3"},
				{Key: "images[name=web].newName", Base: "r/web", Ours: "r/ours", Theirs: "r/theirs"},
			},
		},
		"tag and digest": {
			change("v1 # app", "v2 # app"), change("newTag: v1 # app", "digest: "+d1),
			[]kustomization.Conflict{{Key: "images[name=app].newTag", Base: "v1", Ours: "v2", Theirs: "@" + d1}},
		},
		"two digests of one tag": {
			change("v1 # app", "v1\n  digest: "+d1), change("v1 # app", "v1\n  digest: "+d2),
			[]kustomization.Conflict{{Key: "images[name=app].digest", Ours: d1, Theirs: d2}},
		},
		"removed and changed": {
			change("- name: app\n  newTag: v1 # app\n", ""), change("v1 # app", "v3 # app"),
			[]kustomization.Conflict{{Key: "images[name=app]", Base: "app:v1", Theirs: "app:v3"}},
		},
		"added with two values": {
			mergeBase + "- name: a\n  newTag: v1\n", mergeBase + "- name: a\n  newTag: v2\n",
			[]kustomization.Conflict{{Key: "images[name=a]", Ours: "a:v1", Theirs: "a:v2"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			merged, got, ok := kustomization.Merge([]byte(mergeBase), []byte(test.ours), []byte(test.theirs), nil)
			if diff := cmp.Diff(test.want, got); diff != "" || !ok || merged != nil {
				t.Errorf("ok %v, merged %q, conflicts (-want +got):\n%s", ok, merged, diff)
			}
		})
	}
}

func TestMergeHandlesNoFileThatIsRefused(t *testing.T) {
	for name, side := range map[string]string{"absent": "", "ambiguous": mergeBase + "images: []\n", "two documents": mergeBase + "---\na: b\n"} {
		if _, _, ok := kustomization.Merge([]byte(side), []byte(mergeBase), []byte(mergeBase), nil); ok {
			t.Errorf("%s: handled", name)
		}
	}
}

func TestMergeRefusesALineMergeThatLosesAnImage(t *testing.T) {
	text := func(_, _, _ []byte) ([]byte, bool) { return []byte(strings.Split(mergeBase, "- name: web")[0]), true }
	ours, theirs := "# ours\n"+mergeBase, mergeBase+"# theirs\n"
	if merged, _, ok := kustomization.Merge([]byte(mergeBase), []byte(ours), []byte(theirs), text); ok {
		t.Errorf("merged:\n%s", merged)
	}
}
