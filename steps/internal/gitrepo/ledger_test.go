package gitrepo_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/gitrepo"
)

const ledgerRef = "refs/slipway/approvals/shop"

func newLedger(remote *gitrepo.Remote) *gitrepo.Ledger {
	return &gitrepo.Ledger{Remote: remote, Commit: func(message string) (gitrepo.CommitSpec, error) {
		who := gitrepo.Signature{Name: "agent", Email: "agent@example.com", When: time.Now()}
		return gitrepo.CommitSpec{Author: who, Committer: who, Message: message}, nil
	}}
}

func TestALedgerLetsOneOfTwoWritersWin(t *testing.T) {
	eachServer(t, func(f *fixture) {
		t := f.t
		one, other := newLedger(f.open(t)), newLedger(f.open(t))
		ctx := t.Context()
		first, err := one.Swap(ctx, ledgerRef, "", map[string][]byte{"a": []byte("1"), "b": []byte("1")}, "open")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Swap(ctx, ledgerRef, "", map[string][]byte{"a": []byte("2")}, "open"); !errors.Is(err, gitrepo.ErrDiverged) {
			t.Fatalf("a second creation: %v", err)
		}
		refs, err := other.Refs(ctx, "refs/slipway/")
		if err != nil || !maps.Equal(refs, map[string]string{ledgerRef: first}) {
			t.Fatalf("%v, %v", refs, err)
		}
		files, err := other.Read(ctx, first, "a", "c")
		if diff := cmp.Diff(map[string][]byte{"a": []byte("1")}, files); err != nil || diff != "" {
			t.Fatalf("%v%s", err, diff)
		}
		second, err := other.Swap(ctx, ledgerRef, first, map[string][]byte{"a": []byte("3"), "b": nil}, "settle")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Swap(ctx, ledgerRef, first, map[string][]byte{"a": []byte("4")}, "settle"); !errors.Is(err, gitrepo.ErrDiverged) {
			t.Fatalf("a swap from what has moved: %v", err)
		}
		files, err = one.Read(ctx, second)
		if diff := cmp.Diff(map[string][]byte{"a": []byte("3")}, files); err != nil || diff != "" {
			t.Fatalf("%v%s", err, diff)
		}
		if got, err := f.Git("gitops", "log", "--format=%s", ledgerRef); err != nil || got != "settle\nopen\n" {
			t.Errorf("the history of the ref is %q, %v", got, err)
		}
	})
}

func TestALedgerDoesNotMakeTheBranchDearer(t *testing.T) {
	f := newFixture(t, servers[0])
	remote := f.open(t)
	ledger := newLedger(remote)
	ctx := t.Context()
	commit, err := ledger.Swap(ctx, ledgerRef, "", map[string][]byte{"a": []byte("1")}, "open")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		f.commit(t, "somebody else's", map[string]string{"README.md": "again\n"})
	}
	if _, err := newLedger(remote).Read(ctx, commit); err != nil {
		t.Fatal(err)
	}
	tip, err := remote.Tip(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	f.Reset()
	tree, err := remote.Tree(ctx, tip)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := tree.Files(ctx, "README.md"); err != nil || !strings.Contains(string(files["README.md"].Data), "again") {
		t.Fatal(files, err)
	}
	var bytes int64
	for _, r := range f.Requests() {
		bytes += r.BytesOut
	}
	if bytes > 4000 {
		t.Errorf("reading the branch cost %d bytes", bytes)
	}
}

func TestALedgerFoldsRefsIntoOne(t *testing.T) {
	eachServer(t, func(f *fixture) {
		t := f.t
		ledger := newLedger(f.open(t))
		ctx := t.Context()
		folded := map[string]string{}
		for _, name := range []string{"one", "two"} {
			ref := ledgerRef + "-" + name
			commit, err := ledger.Swap(ctx, ref, "", map[string][]byte{"a": []byte(name)}, "open\n\nRecord: "+name+"\n")
			if err != nil {
				t.Fatal(err)
			}
			folded[ref] = commit
		}
		tip, err := ledger.Fold(ctx, ledgerRef, map[string][]byte{"a": []byte("three")}, "open\n\nRecord: three\n", folded)
		if err != nil {
			t.Fatal(err)
		}
		later := newLedger(f.open(t))
		refs, err := later.Refs(ctx, "refs/slipway/")
		if err != nil || !maps.Equal(refs, map[string]string{ledgerRef: tip}) {
			t.Fatalf("the refs are %v, %v", refs, err)
		}
		for name, want := range map[string]string{"one": folded[ledgerRef+"-one"], "three": tip, "four": "", "thre": ""} {
			commit, err := later.Find(ctx, []string{tip}, "Record: "+name, 10)
			if err != nil || commit != want {
				t.Fatalf("%s is found at %q, %v", name, commit, err)
			}
			if want == "" {
				continue
			}
			if files, err := later.Read(ctx, commit); err != nil || string(files["a"]) != name {
				t.Errorf("%s holds %q, %v", name, files["a"], err)
			}
		}
		if commit, err := newLedger(f.open(t)).Find(ctx, []string{tip}, "Record: one", 1); err != nil || commit != "" {
			t.Errorf("beyond the limit: %q, %v", commit, err)
		}
	})
}

func TestALedgerFetchesManyCommitsAtOnce(t *testing.T) {
	f := newFixture(t, servers[0])
	ledger := newLedger(f.open(t))
	ctx := t.Context()
	for i := range 20 {
		if _, err := ledger.Swap(ctx, fmt.Sprint(ledgerRef, i), "", map[string][]byte{"a": fmt.Append(nil, i)}, "open"); err != nil {
			t.Fatal(err)
		}
	}
	later := newLedger(f.open(t))
	refs, err := later.Refs(ctx, ledgerRef)
	if err != nil {
		t.Fatal(err)
	}
	f.Reset()
	if err := later.Fetch(ctx, slices.Collect(maps.Values(refs))...); err != nil {
		t.Fatal(err)
	}
	for ref, commit := range refs {
		if files, err := later.Read(ctx, commit); err != nil || ledgerRef+string(files["a"]) != ref {
			t.Errorf("%s holds %q, %v", ref, files["a"], err)
		}
	}
	if n := len(f.Requests()); n != 1 {
		t.Errorf("it took %d requests", n)
	}
}
