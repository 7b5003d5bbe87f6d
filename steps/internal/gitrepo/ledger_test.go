package gitrepo_test

import (
	"errors"
	"maps"
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
