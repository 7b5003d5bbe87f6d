package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"slipway/steps/internal/failure"
)

// BuildIsolated is Build in a process of its own that cannot grow by more than l.Memory, whatever it is made to do: what
// the guard does not foresee ends that process and not this one. The command, a program and its arguments, must call
// ServeBuild with its stdin and stdout. It gets an empty environment and no other file of this process, asks for what it
// wants to know of the source, and ends with this process. Results and errors read as those of Build, and the source's own
// errors are the same values. Builds at the same time have a process and its memory each. Other systems than Linux have no
// such bound: there the child watches its memory as Build does.
func BuildIsolated(ctx context.Context, command []string, s Source, dir string, l Limits) (*Result, error) {
	return within(ctx, dir, l, func(bounded context.Context, dir string, l Limits) (*Result, error) {
		// Linux ends the child with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c, err := startChild(bounded, command)
		if err != nil {
			return nil, fmt.Errorf("%s: the process of the build: %w", dir, err)
		}
		result, err := c.converse(bounded, s, order{dir, l})
		ended := c.end()
		switch {
		case errors.Is(err, errProtocol):
			return nil, fmt.Errorf("%s: the process of the build: %w", dir, err)
		case !errors.Is(err, errLost):
			return result, err
		case bounded.Err() != nil:
			return nil, bounded.Err()
		case outOfMemory.MatchString(c.stderr.String()):
			return nil, tooMuchMemory(dir, l)
		}
		return nil, failure.New(failure.Failure, "if it was killed, the agent is out of memory; if not, this is a defect of slipway: please report it",
			"%s: %w (%s): %s", dir, err, ended, c.stderr.String())
	})
}

var (
	// crash is how the Go runtime begins to say why it ends the process. The traces of goroutines follow.
	crash = regexp.MustCompile(`(?m)^(fatal error|panic|runtime|runtime/cgo|SIG[A-Z]+): `)
	// outOfMemory is what it says where the reason is that it gets no more memory, for a thread's stack for example. Collisions
	// are what it calls that under the race detector, which wants its memory at certain addresses.
	outOfMemory = regexp.MustCompile(`out of memory|cannot allocate memory|failed to (allocate|reserve)|newosproc|pthread_create failed|address space collisions`)
)

// errLost is that the child said neither what it built nor why it could not.
var errLost = errors.New("the process of the build ended early")

type child struct {
	*exec.Cmd
	in     io.Writer
	out    io.Reader
	stderr complaint
}

func startChild(ctx context.Context, command []string) (*child, error) {
	keepFiles()
	c := &child{Cmd: exec.CommandContext(ctx, command[0], command[1:]...)} //nolint:gosec // the caller names its own program
	c.Dir, c.Env, c.Stderr, c.SysProcAttr = "/", []string{"GOTRACEBACK=none"}, &c.stderr, attributes()
	c.WaitDelay = time.Second
	var failed [2]error
	c.in, failed[0] = c.StdinPipe()
	c.out, failed[1] = c.StdoutPipe()
	if err := errors.Join(failed[:]...); err != nil {
		return nil, err
	}
	return c, c.Start()
}

// end says how the process ended. If it has not, it has nothing to add.
func (c *child) end() string {
	_ = c.Process.Kill()
	_ = c.Wait()
	return c.ProcessState.String()
}

// converse answers what the child asks until it has built. The child is not trusted: it learns only what the source says,
// which guards itself, and what it says is bounded.
func (c *child) converse(ctx context.Context, s Source, o order) (*Result, error) {
	if send(c.in, o) != nil {
		return nil, errLost
	}
	var given []error
	for {
		var said utterance
		switch err := receive(c.out, o.Limits.Memory, &said); {
		case errors.Is(err, errProtocol):
			return nil, err
		case err != nil:
			return nil, errLost
		case said.Error != nil:
			return nil, said.Error.restore(given)
		case said.Result != nil:
			return said.Result.restore()
		}
		reply, err := answerTo(ctx, said.Question, s, o.Limits)
		if err != nil {
			given = append(given, err)
			reply = answer{Error: crossing(err)}
			reply.Error.Given = len(given)
		}
		if send(c.in, reply) != nil {
			return nil, errLost
		}
	}
}

func answerTo(ctx context.Context, q question, s Source, l Limits) (a answer, err error) {
	if !fs.ValidPath(q.Name) {
		return a, outside(q.Name)
	}
	switch q.Method {
	case readFile:
		a.Data, err = s.ReadFile(ctx, q.Name)
		a.Data = a.Data[:min(len(a.Data), int(l.File)+1)] // one byte too many is as good as all
	case stat:
		a.Info, err = s.Stat(ctx, q.Name)
	case readDir:
		a.Names, err = s.ReadDir(ctx, q.Name)
	default:
		err = fmt.Errorf("there is no answer to %q", q.Method)
	}
	return a, err
}

// complaint keeps a part of what is written to it: from what ended the process, or else from the end.
type complaint struct{ text []byte }

func (c *complaint) Write(p []byte) (int, error) {
	const most = 2 << 10
	c.text = append(c.text, p...)
	if at := crash.FindIndex(c.text); at != nil {
		c.text = bytes.Clone(c.text[at[0]:min(len(c.text), at[0]+most)])
	} else {
		c.text = bytes.Clone(c.text[max(0, len(c.text)-most):])
	}
	return len(p), nil
}

func (c *complaint) String() string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(c.text), "")), " ")
}
