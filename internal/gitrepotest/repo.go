package gitrepotest

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RepoOptions say what a new repository holds and how it behaves.
type RepoOptions struct {
	// Files maps slash-separated paths to contents.
	Files map[string]string
	// Modes maps paths of Files to Git modes other than 100644, such as 100755, 120000 (the content is the target) or
	// 160000 (the content is the commit).
	Modes map[string]string
	// Dir, where set, is a directory tree whose files are in the repository too.
	Dir string
	// Branch is the default branch, main if empty.
	Branch string
	// Config is Git configuration of the repository, by key. uploadpack.allowFilter is true and http.receivepack is true
	// unless said otherwise; other refusals work the same way (http.uploadpack=false, receive.denyNonFastForwards=true).
	Config map[string]string
	// Empty leaves the repository without a commit.
	Empty bool
}

var defaultConfig = map[string]string{
	"uploadpack.allowFilter": "true",
	"http.receivepack":       "true",
	"http.getanyfile":        "false", // no dumb protocol
	"receive.autogc":         "false", // no process outlives its request
	"gc.auto":                "0",
	"core.fsync":             "none",
}

// CreateRepo creates a bare repository, NAME.git, with one commit of the given files.
func (s *Server) CreateRepo(name string, o RepoOptions) error {
	if o.Branch == "" {
		o.Branch = "main"
	}
	dir := s.RepoDir(name)
	if _, err := s.git.run(s.root, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch="+o.Branch, dir); err != nil {
		return err
	}
	config := maps.Clone(defaultConfig)
	maps.Copy(config, o.Config)
	if err := appendConfig(filepath.Join(dir, "config"), config); err != nil {
		return err
	}
	if o.Empty {
		return nil
	}
	c := Commit{Branch: o.Branch, Message: "Initial import", Files: maps.Clone(o.Files), Modes: maps.Clone(o.Modes), When: seedTime}
	if err := c.addTree(o.Dir); err != nil {
		return fmt.Errorf("seed %s: %w", name, err)
	}
	_, err := s.Commit(name, c)
	return err
}

// seedTime is the date of first commits, fixed so that their hashes are.
var seedTime = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// Commit is a commit that another writer makes, directly in the bare repository.
type Commit struct {
	// Branch is main if empty. The commit becomes its new tip; a missing branch begins with it.
	Branch  string
	Message string
	// Files and Modes are as in RepoOptions; all other files stay as they are.
	Files map[string]string
	Modes map[string]string
	// Delete lists paths, of files or directories, that the commit removes.
	Delete []string
	// When is the date of the commit, now if zero.
	When time.Time
}

// Commit adds a commit to a branch and returns its hash.
func (s *Server) Commit(repo string, c Commit) (string, error) {
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.When.IsZero() {
		c.When = time.Now()
	}
	ref := "refs/heads/" + c.Branch
	_, missing := s.Git(repo, "rev-parse", "--verify", "--quiet", ref)
	stream := c.fastImport(ref, missing == nil)
	if _, err := s.git.run(s.RepoDir(repo), stream, "fast-import", "--quiet"); err != nil {
		return "", err
	}
	hash, err := s.Git(repo, "rev-parse", ref)
	return strings.TrimSpace(hash), err
}

func (c Commit) fastImport(ref string, exists bool) *bytes.Buffer {
	var b bytes.Buffer
	fmt.Fprintf(&b, "commit %s\ncommitter Seed <seed@example.com> %d +0000\n", ref, c.When.Unix())
	fmt.Fprintf(&b, "data %d\n%s\n", len(c.Message), c.Message)
	if exists {
		fmt.Fprintf(&b, "from %s^0\n", ref)
	}
	for _, path := range c.Delete {
		fmt.Fprintf(&b, "D %s\n", quote(path))
	}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		content, mode := c.Files[path], c.Modes[path]
		switch mode {
		case "":
			mode = "100644"
		case "160000":
			fmt.Fprintf(&b, "M %s %s %s\n", mode, content, quote(path))
			continue
		}
		fmt.Fprintf(&b, "M %s inline %s\ndata %d\n%s\n", mode, quote(path), len(content), content)
	}
	return &b
}

func (c *Commit) addTree(dir string) error {
	if dir == "" {
		return nil
	}
	if c.Files == nil {
		c.Files = map[string]string{}
	}
	if c.Modes == nil {
		c.Modes = map[string]string{}
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return c.addFile(filepath.ToSlash(name), path, entry)
	})
}

func (c *Commit) addFile(name, path string, entry fs.DirEntry) error {
	if entry.Type() == fs.ModeSymlink {
		target, err := os.Readlink(path)
		c.Files[name], c.Modes[name] = target, "120000"
		return err
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if info.Mode()&0o111 != 0 {
		c.Modes[name] = "100755"
	}
	content, err := os.ReadFile(path)
	c.Files[name] = string(content)
	return err
}

// quote writes a path as git fast-import reads it, whatever bytes it is made of.
func quote(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(path) {
		if c < ' ' || c == '"' || c == '\\' || c > '~' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func appendConfig(path string, config map[string]string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, key := range slices.Sorted(maps.Keys(config)) {
		first, last := strings.Index(key, "."), strings.LastIndex(key, ".")
		if first < 0 {
			return fmt.Errorf("git configuration %q: no section", key)
		}
		section := key[:first]
		if first < last {
			section += fmt.Sprintf(" %q", key[first+1:last])
		}
		if _, err := fmt.Fprintf(file, "[%s]\n\t%s = %q\n", section, key[last+1:], config[key]); err != nil {
			return err
		}
	}
	return file.Close()
}
