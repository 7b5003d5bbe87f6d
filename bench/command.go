package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// command is one process of a pipeline.
type command struct {
	dir  string
	args []string
}

// usage is what processes have cost, their children included.
type usage struct {
	cpu  time.Duration
	wall time.Duration
	rss  int64 // bytes, of the largest process
}

// runAll runs the commands one after another until one fails.
func (b *bench) runAll(ctx context.Context, commands []command) (usage, error) {
	var total usage
	start := time.Now()
	for _, c := range commands {
		used, err := b.run(ctx, c)
		total.cpu += used.cpu
		total.rss = max(total.rss, used.rss)
		if err != nil {
			return total, err
		}
	}
	total.wall = time.Since(start)
	return total, nil
}

func (b *bench) run(ctx context.Context, c command) (usage, error) {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	var output bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, b.env, &output, &output
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(c.args, " "), err, output.String())
	}
	if cmd.ProcessState == nil {
		return usage{}, err
	}
	rusage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return usage{
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		rss: rusage.Maxrss * 1024,
	}, err
}

// ownGroup puts a process into a group of its own: Ctrl-C reaches it through this program only, and killing the group
// reaches its children.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
