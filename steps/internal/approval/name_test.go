package approval_test

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/steps/internal/approval"
)

const sha = "8f14e45fceea167a5a36dedd4bea2543aabbccdd"

// hostileIDs are what a store must keep apart, and what neither a ref nor a file may be called.
var hostileIDs = []string{
	"services/shop/overlays/prod@" + sha, "services/shop/overlays/prod", "services/shop@" + sha, "services/Shop@" + sha, "services",
	"", "@", "@@", "a@", "@a", "a@b@c", "a@b%40c", "a%40b@c", ".", "..", "a..b", ".hidden", "a.", "a.lock", "a.lock@b", "a@b.lock", "a.LOCK",
	"/", "//", "a/", "/a", "a//b", "a/b", "a%2Fb", "a%2fb", "../../etc/passwd", "-rf", "a b", " a", "a ", "a\nb", "a\tb", "a\x00b", "a\x7fb",
	"a~1", "a^2", "a:b", "a?b", "a*b", "a[b]", `a\b`, "a@{1}", "HEAD", "refs/heads/main", "服务/商店@" + sha, "服务/商鋪@" + sha,
	"a%-b", "a%", "%", "a+b", "a=b", "a,b", "a'b", `a"b`, "a$b", "a`b", "a\u2028b", "con", "approval.json",
	strings.Repeat("long/", 100) + "@" + sha, strings.Repeat("long/", 100) + "x@" + sha, "x" + strings.Repeat("y", 1000), strings.Repeat(".", 500) + "@" + sha,
	"short@" + strings.Repeat("z", 300), "short@" + strings.Repeat("z", 301),
}

func TestNamesOfRecordsAreRefsOfTheirOwn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	ids := slices.Clone(hostileIDs)
	alphabet := []string{"a", "b", "/", "@", ".", "..", ".lock", "%", "-", "{", "~", " ", "\x00", "\n", "\xff", "鋪"}
	for range 300 {
		var id strings.Builder
		for range random.IntN(120) {
			id.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		ids = append(ids, id.String())
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	whose := map[string]string{}
	for _, id := range ids {
		name := approval.Name(id)
		checkName(t, id, name)
		if other, ok := whose[name]; ok {
			t.Errorf("%q and %q are both called %s", id, other, name)
		}
		whose[name] = id
	}
	for name := range whose {
		if out, err := exec.Command("git", "check-ref-format", "refs/slipway/approvals/"+name).CombinedOutput(); err != nil {
			t.Errorf("git refuses %q: %v %s", name, err, out)
		}
	}
}

func checkName(t *testing.T, id, name string) {
	t.Helper()
	valid := name != "" && len(name) <= 200 && filepath.Base(name) == name && name[0] != '.' && !strings.ContainsAny(name, "~^:?*[\\ \x00\n\x7f") &&
		!strings.Contains(name, "..") && !strings.Contains(name, "@{") && !strings.HasSuffix(name, ".") && !strings.HasSuffix(name, ".lock")
	if !valid {
		t.Errorf("%q is called %q", id, name)
	}
}

func TestNamesCanBeRead(t *testing.T) {
	for id, want := range map[string]string{
		"services/shop/overlays/prod@" + sha: "services%2Fshop%2Foverlays%2Fprod@" + sha,
		"shop-1.2_prod@" + sha:               "shop-1.2_prod@" + sha,
	} {
		if got := approval.Name(id); got != want {
			t.Errorf("%q is called %q", id, got)
		}
	}
}

func FuzzName(f *testing.F) {
	for i, id := range hostileIDs {
		f.Add(id, hostileIDs[len(hostileIDs)-1-i])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		checkName(t, a, approval.Name(a))
		if a != b && approval.Name(a) == approval.Name(b) {
			t.Errorf("%q and %q are both called %q", a, b, approval.Name(a))
		}
	})
}
