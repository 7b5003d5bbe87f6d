package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/steps/internal/failure"
)

const linesEnd = ".jsonl"

// NewFile returns the store in a directory of this machine, which is created when there is something to store. Each record is a
// file of lines, all of which are the whole record, and the last one counts. Processes of the same machine may use it at the
// same time.
func NewFile(dir string) Store { return fileStore{dir} }

// fileStore counts a file's lines as far as they are whole, in bytes: that is the version of its record.
type fileStore struct{ dir string }

func (s fileStore) path(id string) string { return filepath.Join(s.dir, name(id)+linesEnd) }

func (s fileStore) Read(_ context.Context, id string) (Stored, error) {
	lines, err := readLines(s.path(id))
	if err != nil {
		return Stored{}, about(id, err)
	}
	if len(lines) == 0 {
		return Stored{}, none(id)
	}
	r, err := Decode(id, lastLine(lines))
	return Stored{Record: r, Version: strconv.Itoa(len(lines))}, err
}

func (s fileStore) Swap(_ context.Context, was Stored, next Record) (Stored, error) {
	data, err := next.Encode()
	if err != nil {
		return Stored{}, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil {
		return Stored{}, about(next.ID, err)
	}
	line.WriteByte('\n')
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return Stored{}, about(next.ID, unwritable(err))
	}
	size, err := appendLine(s.path(next.ID), was.Version, line.Bytes())
	if errors.Is(err, errGrown) {
		return Stored{}, diverged(next.ID, err)
	}
	if err != nil {
		return Stored{}, about(next.ID, unwritable(err))
	}
	return Stored{Record: next, Version: strconv.Itoa(size)}, nil
}

func (s fileStore) List(_ context.Context, limit int) ([]Record, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, listing(err)
	}
	records := map[string][]byte{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), linesEnd)
		if !ok {
			continue
		}
		lines, err := readLines(filepath.Join(s.dir, e.Name()))
		if err != nil {
			return nil, listing(err)
		}
		if len(lines) > 0 {
			records[name] = lastLine(lines)
		}
	}
	return newest(records, limit)
}

// errGrown says that a file has other lines than those that were read.
var errGrown = errors.New("its file has other lines")

// readLines returns the whole lines of a file, nothing of one that is not there. What follows the last of them was cut off with
// the process that wrote it.
func readLines(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unwritable(err)
	}
	defer file.Close()
	if err := lock(file); err != nil {
		return nil, unwritable(err)
	}
	return whole(file)
}

func whole(file *os.File) ([]byte, error) {
	data, err := io.ReadAll(file)
	return data[:bytes.LastIndexByte(data, '\n')+1], err
}

func lastLine(lines []byte) []byte {
	lines = lines[:len(lines)-1]
	return lines[bytes.LastIndexByte(lines, '\n')+1:]
}

// appendLine adds a line to the file, in place of what was cut off, if its whole lines are still of the size that version says.
// It returns their new size, and the error is errGrown if they are not.
func appendLine(path, version string, line []byte) (int, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := lock(file); err != nil {
		return 0, err
	}
	lines, err := whole(file)
	if err != nil {
		return 0, err
	}
	size := len(lines)
	if size == 0 && version != "" || size > 0 && version != strconv.Itoa(size) {
		return 0, errGrown
	}
	if err := file.Truncate(int64(size)); err != nil {
		return 0, err
	}
	if _, err := file.WriteAt(line, int64(size)); err != nil {
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	if size == 0 {
		err = syncDir(filepath.Dir(path))
	}
	return size + len(line), err
}

// syncDir makes the name of a new file last.
func syncDir(dir string) error {
	directory, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}

func unwritable(err error) error {
	return failure.New(failure.Usage, "name a directory of your own that can be written to", "%w", err)
}
