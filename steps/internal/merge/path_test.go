package merge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/merge"
)

func file(data string) *merge.File { return &merge.File{Mode: merge.ModeRegular, Data: []byte(data)} }

func script(data string) *merge.File {
	return &merge.File{Mode: merge.ModeExecutable, Data: []byte(data)}
}

func symlink(data string) *merge.File {
	return &merge.File{Mode: merge.ModeSymlink, Data: []byte(data)}
}

func module(data string) *merge.File {
	return &merge.File{Mode: merge.ModeSubmodule, Data: []byte(data)}
}

func TestPath(t *testing.T) {
	directory := &merge.File{Mode: merge.ModeDirectory}
	tests := map[string]struct{ base, ours, theirs, want *merge.File }{
		"a change that is already on the tip stays":            {file("a"), file("b"), file("b"), file("b")},
		"a file untouched on the tip takes the change":         {file("a"), file("a"), file("b"), file("b")},
		"a file untouched by the change stays":                 {file("a"), file("b"), file("a"), file("b")},
		"a file is added":                                      {nil, nil, file("a"), file("a")},
		"a file that both sides add alike is there":            {nil, file("a"), file("a"), file("a")},
		"a file is deleted":                                    {file("a"), file("a"), nil, nil},
		"a file that both sides delete is gone":                {file("a"), nil, nil, nil},
		"a file that only the tip deletes is gone":             {file("a"), nil, file("a"), nil},
		"a mode change is taken":                               {file("a"), file("a"), script("a"), script("a")},
		"a mode change joins a change of the content":          {file("a"), file("b"), script("a"), script("b")},
		"a mode change of the tip survives":                    {file("a"), script("a"), file("b"), script("b")},
		"a mode change of a binary joins one of the content":   {file("\x00"), script("\x00"), file("\x001"), script("\x001")},
		"changed lines of both sides are merged":               {file("a\nb\nc\n"), file("A\nb\nc\n"), file("a\nb\nC\n"), file("A\nb\nC\n")},
		"a symlink untouched on the tip takes the change":      {symlink("a"), symlink("a"), symlink("b"), symlink("b")},
		"a submodule untouched by the change stays":            {module("1"), module("2"), module("1"), module("2")},
		"a directory in place of a deleted file stays":         {file("a"), directory, nil, directory},
		"an executable untouched on the tip becomes a symlink": {script("a"), script("a"), symlink("b"), symlink("b")},
		"an empty file is not an absent one":                   {nil, nil, file(""), file("")},
		"a file emptied by the change is empty, not absent":    {file("a\n"), file("a\n"), file(""), file("")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, conflicts := merge.Path("p", tt.base, tt.ours, tt.theirs, nil)
			if len(conflicts) > 0 {
				t.Errorf("conflicts %v, want none", conflicts)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPathConflicts(t *testing.T) {
	tests := map[string]struct {
		base, ours, theirs *merge.File
		want               []merge.Conflict
	}{
		"a file that the tip deleted is not brought back": {
			file("a"), nil, file("b"),
			[]merge.Conflict{{
				Path: "p", Base: "file", Ours: "absent", Theirs: "file",
				Reason: "the tip deleted it and this change edits it",
			}},
		},
		"a file that the tip edited is not deleted": {
			file("a"), file("b"), nil,
			[]merge.Conflict{{
				Path: "p", Base: "file", Ours: "file", Theirs: "absent",
				Reason: "the tip edited it and this change deletes it",
			}},
		},
		"a file that both sides add differently": {
			nil, file("a"), file("b"),
			[]merge.Conflict{{
				Path: "p", Base: "absent", Ours: "file", Theirs: "file",
				Reason: "the tip and this change both add it, differently",
			}},
		},
		"a directory of the tip in place of a file": {
			file("a"), &merge.File{Mode: merge.ModeDirectory}, file("b"),
			[]merge.Conflict{{
				Path: "p", Base: "file", Ours: "directory", Theirs: "file",
				Reason: "the tip has a directory in place of the file",
			}},
		},
		"a symlink moved by both sides": {
			symlink("a"), symlink("b"), symlink("c"),
			[]merge.Conflict{{
				Path: "p", Base: "symlink to a", Ours: "symlink to b", Theirs: "symlink to c",
				Reason: "the tip and this change both edit it, and it is not a regular file everywhere",
			}},
		},
		"a submodule moved by both sides": {
			module("1"), module("2"), module("3"),
			[]merge.Conflict{{
				Path: "p", Base: "submodule at 1", Ours: "submodule at 2", Theirs: "submodule at 3",
				Reason: "the tip and this change both edit it, and it is not a regular file everywhere",
			}},
		},
		"a file that became a symlink on one side and changed on the other": {
			file("a"), symlink("b"), file("c"),
			[]merge.Conflict{{
				Path: "p", Base: "file", Ours: "symlink to b", Theirs: "file",
				Reason: "the tip and this change both edit it, and it is not a regular file everywhere",
			}},
		},
		"a line changed by both sides": {
			file("a\nb\n"), file("a\nours\n"), file("a\ntheirs\n"),
			[]merge.Conflict{{
				Path: "p", Line: 2, Base: "b", Ours: "ours", Theirs: "theirs",
				Reason: "the tip and this change both edit these or adjacent lines",
			}},
		},
		"long values are shortened": {
			file("a\n"), file("1\n2\n3\n4\n5\n"), file("b\r\n"),
			[]merge.Conflict{{
				Path: "p", Line: 1, Base: "a", Ours: "1\n2\n3\n... (5 lines)", Theirs: "b",
				Reason: "the tip and this change both edit these or adjacent lines",
			}},
		},
		"a binary file changed by both sides": {
			file("\x00a"), file("\x00b"), file("\x00c"),
			[]merge.Conflict{{
				Path: "p", Reason: "the tip and this change both edit it, and it cannot be merged by lines",
			}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, conflicts := merge.Path("p", tt.base, tt.ours, tt.theirs, nil)
			if diff := cmp.Diff(tt.want, conflicts); diff != "" {
				t.Errorf("conflicts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPathAsksTheDriver(t *testing.T) {
	conflict := []merge.Conflict{{Path: "p", Key: "images[web].newTag", Base: "1", Ours: "2", Theirs: "3"}}
	tests := map[string]struct {
		base, ours, theirs string
		driver             merge.Driver
		want               *merge.File
		conflicts          []merge.Conflict
	}{
		"and takes its result": {
			"1", "2", "3",
			func(_ string, base, ours, theirs []byte) ([]byte, []merge.Conflict, bool) {
				return []byte(string(base) + string(ours) + string(theirs)), nil, true
			},
			file("123"), nil,
		},
		"and takes its conflicts": {
			"1", "2", "3",
			func(string, []byte, []byte, []byte) ([]byte, []merge.Conflict, bool) { return nil, conflict, true },
			nil, conflict,
		},
		"and merges by lines what is not for it": {
			"a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n",
			func(string, []byte, []byte, []byte) ([]byte, []merge.Conflict, bool) { return nil, nil, false },
			file("A\nb\nC\n"), nil,
		},
		"only where both sides changed": {
			"1", "1", "3",
			func(string, []byte, []byte, []byte) ([]byte, []merge.Conflict, bool) { return nil, conflict, true },
			file("3"), nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, conflicts := merge.Path("p", file(tt.base), file(tt.ours), file(tt.theirs), tt.driver)
			if diff := cmp.Diff(tt.conflicts, conflicts); diff != "" {
				t.Errorf("conflicts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}
