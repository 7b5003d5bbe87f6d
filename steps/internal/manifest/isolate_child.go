package manifest

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// ServeBuild is the other side of BuildIsolated: it builds once, and the process may then end. It bounds the memory of the
// whole process for good. It writes to out what is for the parent alone. It gives up when the parent is gone.
func ServeBuild(ctx context.Context, in io.Reader, out io.Writer) error {
	var o order
	if err := receive(in, 1<<20, &o); err != nil {
		return fmt.Errorf("what to build: %w", err)
	}
	if err := bound(o.Limits.Memory); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &parent{out: out, answers: make(chan answer)}
	go func() {
		defer cancel()
		p.listen(ctx, in)
	}()
	result, err := Build(ctx, p, o.Dir, o.Limits)
	if err != nil {
		return p.say(utterance{Error: crossing(err)})
	}
	for i := range result.Objects {
		result.Objects[i].Data = nil // it is in the JSON
	}
	return p.say(utterance{Result: result})
}

// bound limits how much more memory the process can take. The garbage collector works harder shortly before that.
func bound(memory int64) error {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	debug.SetMemoryLimit(int64(sample[0].Value.Uint64()-sample[1].Value.Uint64()) + memory/8*7)
	return boundProcess(memory)
}

// parent is its source, which it asks for everything.
type parent struct {
	mu      sync.Mutex // a build that ran out of time may still ask while that is said
	out     io.Writer
	answers chan answer
}

func (p *parent) say(u utterance) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return send(p.out, u)
}

func (p *parent) listen(ctx context.Context, in io.Reader) {
	for {
		var next answer
		if receive(in, math.MaxInt64, &next) != nil {
			return
		}
		select {
		case p.answers <- next:
		case <-ctx.Done():
			return
		}
	}
}

func (p *parent) ask(ctx context.Context, method, name string) (answer, error) {
	if err := p.say(utterance{Question: question{method, name}}); err != nil {
		return answer{}, err
	}
	select {
	case got := <-p.answers:
		if got.Error != nil {
			return answer{}, got.Error.restore(nil)
		}
		return got, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func (p *parent) ReadFile(ctx context.Context, name string) ([]byte, error) {
	got, err := p.ask(ctx, readFile, name)
	return got.Data, err
}

func (p *parent) Stat(ctx context.Context, name string) (Info, error) {
	got, err := p.ask(ctx, stat, name)
	return got.Info, err
}

func (p *parent) ReadDir(ctx context.Context, name string) ([]string, error) {
	got, err := p.ask(ctx, readDir, name)
	return got.Names, err
}
