package release_test

import (
	"slices"
	"strconv"
	"testing"

	"slipway/steps/internal/release"
)

// history builds a history from the oldest commit to the newest one; the hashes are c1, c2, and so on.
func history(trailers ...release.Trailers) release.History {
	var h release.History
	for i, t := range trailers {
		h.Commits = append(h.Commits, release.Commit{Hash: "c" + strconv.Itoa(i+1), Message: t.Append("subject")})
	}
	slices.Reverse(h.Commits)
	return h
}

func sets(id string, order int64, to, from string) release.Trailers {
	return release.Trailers{Release: id, Job: "job", Order: order, Paths: []release.PathImages{
		{Path: "other", Images: []release.Image{{Name: "web", New: "other:1", Old: "other:0"}}},
		{Path: "p", Images: []release.Image{{Name: "web", New: to, Old: from}}},
	}}
}

func reverts(hash, id, to, from string) release.Trailers {
	t := sets(id, 99, to, from)
	t.Reverts = hash
	return t
}

var foreign = release.Trailers{Release: "x", Job: "job", Order: 100, Paths: []release.PathImages{
	{Path: "p", Images: []release.Image{{Name: "db", New: "v1", Old: "v0"}}},
}}

func TestHistory(t *testing.T) {
	find := func(c release.Commit, ok bool) string {
		if ok != (c.Hash != "") {
			return "a commit that is not found"
		}
		return c.Hash
	}
	released := func(id string) func(release.History) string {
		return func(h release.History) string { return find(h.Release(id)) }
	}
	revertOf := func(hash, id string) func(release.History) string {
		return func(h release.History) string { return find(h.RevertOf(hash, id)) }
	}
	setBy := func(h release.History) string { return find(h.SetBy("p", "web")) }
	newer := func(job string, order int64) func(release.History) string {
		return func(h release.History) string { return find(h.Newer("p", "web", job, order)) }
	}
	frozen := func(value string) func(release.History) string {
		return func(h release.History) string { return find(h.Frozen("p", "web", value)) }
	}

	plain := history(sets("r1", 1, "v1", "v0"), sets("r2", 2, "v2", "v1"), foreign)
	reverted := history(sets("r1", 1, "v1", "v0"), sets("r2", 2, "v2", "v1"), reverts("c2", "r2", "v1", "v2"), foreign)
	restored := history(sets("r1", 1, "v1", "v0"), sets("r2", 2, "v2", "v1"), reverts("c2", "r2", "v1", "v2"),
		reverts("c3", "r2", "v2", "v1"))
	takenAgain := history(sets("r1", 1, "v1", "v0"), sets("r2", 2, "v2", "v1"), reverts("c2", "r2", "v1", "v2"),
		reverts("c3", "r2", "v2", "v1"), reverts("c4", "r2", "v1", "v2"))
	setAgain := history(sets("r1", 1, "v1", "v0"), reverts("c1", "r1", "v0", "v1"), sets("r3", 3, "v1", "v0"), sets("r4", 4, "v4", "v1"))
	revertedTwice := history(sets("r1", 1, "v1", "v0"), reverts("c1", "r1", "v0", "v1"), sets("r1", 3, "v1", "v0"),
		reverts("c3", "r1", "v0", "v1"))
	created := history(sets("r1", 1, "v1", ""), reverts("c1", "r1", "", "v1"))
	silentRevert := history(sets("r1", 1, "v1", "v0"), reverts("c1", "r1", "v0", "v1"), release.Trailers{Reverts: "c2"})

	tests := map[string]struct {
		history release.History
		rule    func(release.History) string
		want    string
	}{
		"a release is found":                                   {plain, released("r1"), "c1"},
		"the revert of a release is not the release":           {reverted, released("r2"), "c2"},
		"of a release made again the newest counts":            {revertedTwice, released("r1"), "c3"},
		"an unknown release is not found":                      {plain, released("r9"), ""},
		"no id is no release":                                  {history(release.Trailers{}), released(""), ""},
		"a revert is found by what it reverts":                 {reverted, revertOf("c2", ""), "c3"},
		"a revert is found by what it reverts and its release": {reverted, revertOf("c2", "r2"), "c3"},
		"a revert of another release is not meant":             {reverted, revertOf("c2", "r1"), ""},
		"a commit that was not reverted has no revert":         {reverted, revertOf("c1", ""), ""},
		"a revert that was reverted does not count":            {restored, revertOf("c2", ""), ""},
		"a revert whose revert was reverted counts":            {takenAgain, revertOf("c2", ""), "c3"},
		"no hash has no revert":                                {plain, revertOf("", ""), ""},
		"the newest commit set the value":                      {plain, setBy, "c2"},
		"a revert sets the value":                              {reverted, setBy, "c3"},
		"a value nobody set has no commit":                     {history(foreign), setBy, ""},
		"an empty history knows nothing":                       {release.History{}, setBy, ""},
		"a newer build of the job is newer":                    {plain, newer("job", 1), "c2"},
		"the same build is not newer":                          {plain, newer("job", 2), ""},
		"an older build is not newer":                          {plain, newer("job", 3), ""},
		"the builds of two jobs have no order":                 {plain, newer("another", 1), ""},
		"a build without order is never late":                  {plain, newer("job", 0), ""},
		"no job has no order":                                  {plain, newer("", 1), ""},
		"a reverted build does not hold back an older one": {
			history(sets("r3", 3, "v3", "v0"), reverts("c1", "r3", "v0", "v3")), newer("job", 2), "",
		},
		"what a revert brought back holds back older ones":      {reverted, newer("job", -1), "c1"},
		"what a revert brought back holds back no newer one":    {reverted, newer("job", 1), ""},
		"a build whose revert was reverted holds back older":    {restored, newer("job", 1), "c2"},
		"a value that was reverted is frozen":                   {reverted, frozen("v2"), "c3"},
		"the value that the revert restored is not":             {reverted, frozen("v1"), ""},
		"a value that was replaced by a newer one is not":       {plain, frozen("v1"), ""},
		"a value whose revert was reverted is not":              {restored, frozen("v2"), ""},
		"a value whose revert of the revert was reverted is":    {takenAgain, frozen("v2"), "c5"},
		"a value that was set again after the revert is not":    {setAgain, frozen("v1"), ""},
		"a value that was set again and reverted again is":      {revertedTwice, frozen("v1"), "c4"},
		"a created value that was reverted is frozen":           {created, frozen("v1"), "c2"},
		"a revert that was reverted without saying what is not": {silentRevert, frozen("v1"), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.rule(tt.history); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}
