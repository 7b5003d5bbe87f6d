package approval_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

func TestALineThatWasCutOffIsRepaired(t *testing.T) {
	s := newShelf(t, keeper{file: true})
	opened := create(t, s.open(t), fresh(id))
	next := settled(t, opened.Record, approval.Proceed, "bob")
	accepted, err := s.open(t).Swap(t.Context(), opened, next)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, approval.Name(id)+".jsonl")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, err := strconv.Atoi(opened.Version)
	if err != nil {
		t.Fatal(err)
	}
	for size := range whole {
		if err := os.WriteFile(file, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		was := approval.Stored{}
		if size >= first {
			if was = read(t, s.open(t), id); was.State != approval.Pending || was.Version != opened.Version {
				t.Fatalf("cut at %d of %d it is %s", size, len(whole), was.State)
			}
		}
		if _, err := s.open(t).Swap(t.Context(), was, next); err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		if got := read(t, s.open(t), id); got.State != approval.Accepted || size >= first && got.Version != accepted.Version {
			t.Fatalf("cut at %d and written again it is %s", size, got.State)
		}
	}
}

func TestNothingStaysOfALongLineThatWasCutOff(t *testing.T) {
	s := newShelf(t, keeper{file: true})
	opened := create(t, s.open(t), fresh(id))
	file := filepath.Join(s.dir, approval.Name(id)+".jsonl")
	s.tamper(t, func(data []byte) []byte { return append(data, bytes.Repeat([]byte("{"), 100_000)...) })
	accepted, err := s.open(t).Swap(t.Context(), opened, settled(t, opened.Record, approval.Proceed, "bob"))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || strconv.FormatInt(info.Size(), 10) != accepted.Version {
		t.Errorf("the file has %d bytes, of which %s are whole lines", info.Size(), accepted.Version)
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	s := newShelf(t, keeper{file: true})
	create(t, s.open(t), fresh(id))
	for path, want := range map[string]os.FileMode{s.dir: 0o700, filepath.Join(s.dir, approval.Name(id)+".jsonl"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestADirectoryThatCannotBeUsedIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	store := approval.NewFile(filepath.Join(file, "below"))
	_, reading := store.Read(t.Context(), id)
	_, writing := store.Swap(t.Context(), approval.Stored{}, fresh(id))
	for _, err := range []error{reading, writing} {
		if failure.KindOf(err) != failure.Usage || failure.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	}
}
