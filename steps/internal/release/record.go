package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"slipway/steps/internal/failure"
)

const recordVersion = 1

// stateDir is the directory that belongs to slipway inside of a checkout.
const stateDir = ".slipway"

// Record is what the earlier steps of a release found out, for the later ones. Everything in it can be found out again.
type Record struct {
	Repo    string       `json:"repo,omitempty"`
	Branch  string       `json:"branch,omitempty"`
	Release string       `json:"release,omitempty"`
	Job     string       `json:"job,omitempty"`
	Order   int64        `json:"order,omitempty"`
	Base    string       `json:"base,omitempty"`
	Commit  string       `json:"commit,omitempty"`
	Outcome string       `json:"outcome,omitempty"`
	Images  []PathImages `json:"images,omitempty"`
	Revert  string       `json:"revert,omitempty"`
	// Applications are those that were brought to the commit, and Approval is the id of the question whether it stays.
	Applications []Application `json:"applications,omitempty"`
	Approval     string        `json:"approval,omitempty"`
	// Unknown holds the fields that other versions of slipway wrote; they survive being read and written.
	Unknown map[string]json.RawMessage `json:"-"`
}

// Application is an application of Argo CD, how it was when a step left it, and where it can be looked at.
type Application struct {
	Name   string `json:"name"`
	Health string `json:"health,omitempty"`
	Page   string `json:"page,omitempty"`
}

// ReadRecord reads a record. An absent file is the zero Record; a file that is no record is invalid.
func ReadRecord(file string) (Record, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, failure.New(failure.Usage, "name a file that can be read and written with --record", "release record: %w", err)
	}
	const hint = "delete the file; the step finds out again what was in it"
	var header struct{ Version int }
	if err := json.Unmarshal(data, &header); err != nil {
		return Record{}, failure.New(failure.Invalid, hint, "release record %s: %w", file, err)
	}
	if header.Version != recordVersion {
		return Record{}, failure.New(failure.Invalid, hint, "release record %s: version %d, this slipway reads version %d",
			file, header.Version, recordVersion)
	}
	var r Record
	var all map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(data, &r), json.Unmarshal(data, &all)); err != nil {
		return Record{}, failure.New(failure.Invalid, hint, "release record %s: %w", file, err)
	}
	known, err := r.fields()
	if err != nil {
		return Record{}, err
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return known[name] != nil })
	if len(all) > 0 {
		r.Unknown = all
	}
	return r, nil
}

// Write replaces the file atomically and creates its directory. The directory .slipway ignores itself, so that the record
// never shows up in the checkout. Of the repository's URL the user and password are left out.
func (r Record) Write(file string) error {
	fields, err := r.fields()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		return fmt.Errorf("release record: %w", err)
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("release record: %w", err)
	}
	if filepath.Base(dir) == stateDir {
		if err := replace(filepath.Join(dir, ".gitignore"), []byte("*\n")); err != nil {
			return err
		}
	}
	return replace(file, append(data, '\n'))
}

// fields returns the record as it is written: what it knows over what it does not know.
func (r Record) fields() (map[string]json.RawMessage, error) {
	r.Repo = withoutUserinfo(r.Repo)
	data, err := json.Marshal(struct {
		Version int `json:"version"`
		Record
	}{recordVersion, r})
	if err != nil {
		return nil, fmt.Errorf("release record: %w", err)
	}
	fields := maps.Clone(r.Unknown)
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("release record: %w", err)
	}
	return fields, nil
}

// replace writes to a file of another name first, so that a killed step never leaves half a file.
func replace(file string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("release record: %w", err)
	}
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("release record: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}

// withoutUserinfo leaves the user of an ssh URL in place: it is part of the address and no secret.
func withoutUserinfo(repo string) string {
	scheme, rest, isURL := strings.Cut(repo, "://")
	if !isURL {
		return repo
	}
	u, err := url.Parse(repo)
	switch {
	case err != nil:
		return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	case u.User == nil:
		return repo
	case u.Scheme == "ssh":
		u.User = url.User(u.User.Username())
	default:
		u.User = nil
	}
	return u.String()
}
