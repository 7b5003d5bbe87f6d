package manifest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest"
)

// children are what the test binary is when it is started again.
var children = map[string]func() error{
	"builds":          func() error { return manifest.ServeBuild(context.Background(), os.Stdin, os.Stdout) },
	"announces much":  func() error { return errors.Join(binary.Write(os.Stdout, binary.BigEndian, uint64(1)<<40), hang()) },
	"sends no JSON":   func() error { return errors.Join(message("[1,"), hang()) },
	"sends more JSON": func() error { return errors.Join(message(`{"Result": {"JSON": [{}]}}`), hang()) },
	"sends half":      func() error { return binary.Write(os.Stdout, binary.BigEndian, uint64(9)) },
	"complains": func() error {
		_, err := fmt.Fprintln(os.Stderr, strings.Repeat("x", 1<<20)+"\nthe end")
		return err
	},
	"crashes": func() error {
		_, err := fmt.Fprintln(os.Stderr, strings.Repeat("warning\n", 1000)+"fatal error: all wrong\n"+strings.Repeat("goroutine 1\n", 1000))
		return err
	},
	"hangs": hang,
	"looks outside": func() error {
		return errors.Join(message(`{"Question": {"Method": "ReadFile", "Name": "../a"}}`), echo())
	},
	"wants a lot": func() error {
		return errors.Join(message(`{"Question": {"Method": "ReadFile", "Name": "app/a.yaml"}}`), echo())
	},
	"writes": func() error {
		return errors.Join(message(`{"Question": {"Method": "Remove", "Name": "app/a.yaml"}}`), echo())
	},
	"claims": func() error {
		return errors.Join(message(`{"Error": {"Text": "x", "Absent": true, "Given": 7}}`), hang())
	},
	"looks around": func() error {
		dir, err := os.Getwd()
		if err == nil {
			_, err = os.NewFile(inheritedFile, "inherited").Stat()
		}
		_, _ = fmt.Fprintln(os.Stderr, os.Environ(), dir, err)
		return nil
	},
	"has a child": func() error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		source, err := manifest.Dir(os.Args[3])
		if err != nil {
			return err
		}
		command := []string{program, "child", "is alive", os.Args[3]}
		_, err = manifest.BuildIsolated(context.Background(), command, source, ".", manifest.Limits{})
		return err
	},
	"is alive": func() error {
		pipe, err := os.OpenFile(filepath.Join(os.Args[3], "pipe"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if _, err := pipe.WriteString("alive\n"); err != nil {
			return err
		}
		select {} // the end of stdin is not what ends it
	},
}

// inheritedFile is a descriptor that the runtime of a child does not use by itself.
const inheritedFile = 200

func message(text string) error {
	_, err := os.Stdout.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(text))), text...))
	return err
}

func hang() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// echo says on stderr what the child is answered.
func echo() error {
	var length uint64
	for i := range 2 {
		if err := binary.Read(os.Stdin, binary.BigEndian, &length); err != nil {
			return err
		}
		to := []io.Writer{io.Discard, os.Stderr}[i] // the order comes first
		if _, err := io.CopyN(to, os.Stdin, int64(length)); err != nil {
			return err
		}
	}
	return nil
}

func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "child" {
		m.Run()
	} else if err := children[os.Args[2]](); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
	}
}

func child(t testing.TB, name string) []string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{program, "child", name}
}

func TestIsolatedBuildsAreAsOthers(t *testing.T) {
	t.Parallel()
	cases := map[string]map[string]string{"nothing": {}}
	for name, attack := range attacks {
		cases[name] = map[string]string{}
		for file, text := range attack.files {
			cases[name][file] = strings.ReplaceAll(text, "HOST", "http://127.0.0.1:1")
		}
	}
	corpus, err := filepath.Glob("testdata/corpus/re*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range corpus {
		cases[file] = corpusCase(t, file)
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := files(t, content)
			want, wantErr := manifest.Build(t.Context(), source, "app", manifest.Limits{})
			got, err := manifest.BuildIsolated(t.Context(), child(t, "builds"), source, "app", manifest.Limits{})
			if diff := cmp.Diff(describe(wantErr), describe(err)); diff != "" {
				t.Errorf("error (-here +isolated):\n%s", diff)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("result (-here +isolated):\n%s", diff)
			}
		})
	}
}

// describe is what users of an error can ask.
func describe(err error) string {
	if err == nil {
		return "none"
	}
	text := strings.ReplaceAll(err.Error(), "unable to unmarshal", "cannot unmarshal") // a decoder of kustomize's says either
	return fmt.Sprintf("%s\nhint: %s\nkind: %s\nabsent: %v", text, failure.HintOf(err), failure.KindOf(err), errors.Is(err, fs.ErrNotExist))
}

func TestErrorsOfTheSourceComeBackFromAnIsolatedBuild(t *testing.T) {
	t.Parallel()
	source := files(t, app("resources: [a.yaml, ../b]\n", "b/kustomization.yaml", "namePrefix: x\n"))
	for _, file := range []string{kustomized, "app/a.yaml", "b/kustomization.yaml"} {
		_, err := manifest.BuildIsolated(t.Context(), child(t, "builds"), broken{source, file}, "app", manifest.Limits{})
		if !errors.Is(err, errLost) {
			t.Errorf("%s: error is %v", file, err)
		}
	}
}

// heap is what this process has on its heap.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// doubling returns a kustomization that doubles what it has, so often.
func doubling(times int) map[string]string {
	var text strings.Builder
	text.WriteString("resources: [a.yaml]\nreplacements:\n")
	for i := range times {
		fmt.Fprintf(&text, "- source: {kind: ConfigMap, fieldPath: data}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.x%d], options: {create: true}}]\n", i)
	}
	return app(text.String(), "app/a.yaml", object+"data: {a: b}\n")
}

// It does not run beside other tests, whose memory it would take for its own.
func TestWhatNobodyForeseesIsStopped(t *testing.T) {
	before := heap()
	_, err := manifest.BuildIsolated(t.Context(), child(t, "builds"), files(t, doubling(60)), "app", manifest.Limits{Memory: 64 << 20})
	wantRefusal(t, err, "/tmp", "app: the build needs more than 67108864 bytes of memory")
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("this process grew by %d bytes", grown)
	}
}

func TestTheTimeOfAnIsolatedBuildIsBounded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"builds", "hangs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := manifest.BuildIsolated(t.Context(), child(t, name), files(t, doubling(60)), "app", manifest.Limits{Time: 100 * time.Millisecond})
			wantRefusal(t, err, "/tmp", "app: the build took longer than 100ms")
		})
	}
}

// cancelling is a source that cancels what asks it.
type cancelling struct {
	manifest.Source
	cancel func()
}

func (c cancelling) ReadFile(ctx context.Context, name string) ([]byte, error) {
	c.cancel()
	return c.Source.ReadFile(ctx, name)
}

func TestAnIsolatedBuildCanBeCancelled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"builds", "wants a lot"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := manifest.BuildIsolated(ctx, child(t, name), cancelling{files(t, doubling(60)), cancel}, "app", manifest.Limits{})
			if !errors.Is(err, context.Canceled) || failure.KindOf(err) == failure.Invalid {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestAChildIsNotTrusted(t *testing.T) {
	t.Setenv("SLIPWAY_TEST", "a secret of the environment")
	tests := map[string]string{
		"announces much":  "it said what it may not: a message of 1099511627776 bytes",
		"sends no JSON":   "it said what it may not: unexpected end of JSON input",
		"sends more JSON": "it said what it may not: 0 objects and the JSON of 1",
		"sends half":      "ended early (exit status 0): ",
		"complains":       "ended early (exit status 0): xxx",
		"crashes":         "ended early (exit status 0): fatal error: all wrong goroutine 1 goroutine",
		"looks outside":   `"Text":"../a: leads out of the repository"`,
		"wants a lot":     `"Data":"YXBpVmVyc2lvbjog"`,
		"writes":          `"Text":"there is no answer to \"Remove\""`,
		"claims":          "x",
		"looks around":    "[GOTRACEBACK=none] / stat inherited: bad file descriptor",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := manifest.BuildIsolated(t.Context(), child(t, name), files(t, app("")), "app", manifest.Limits{File: 11})
			if err == nil || r != nil || !strings.Contains(err.Error(), want) || failure.KindOf(err) != failure.Failure {
				t.Errorf("result is %v, error is of kind %s: %v", r, failure.KindOf(err), err)
			}
			if len(err.Error()) > 3000 {
				t.Errorf("error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := manifest.BuildIsolated(t.Context(), []string{filepath.Join(t.TempDir(), "nothing")}, files(t, app("")), "app", manifest.Limits{})
	if !errors.Is(err, fs.ErrNotExist) || failure.KindOf(err) != failure.Failure {
		t.Errorf("error is %v", err)
	}
}
