package steps

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"
)

// Asked is what came of a question on a terminal.
type Asked struct {
	CanAsk, Answered, Keep bool
	Reason                 string
	Next                   string // the line after the answer
}

// MainAsking is Main with one step, which asks as soon as it is sent a line and logs each further one. With next it then reads
// a line from stdin itself.
func MainAsking(ctx context.Context, window time.Duration, next bool, orders io.Reader, lookupEnv func(string) (string, bool)) int {
	app := App()
	app.Commands = []*cli.Command{step(ProbeFunc(func(ctx context.Context, env *Env) (Result, error) {
		asked := Asked{CanAsk: env.canAsk()}
		lines := bufio.NewScanner(orders)
		if !asked.CanAsk || !lines.Scan() {
			return Result{Details: asked}, nil
		}
		go func() {
			for lines.Scan() {
				env.Log.Info(lines.Text())
			}
		}()
		said, answered, err := env.ask(ctx, "keep this release?", time.Now().Add(window))
		if next {
			asked.Next, _ = bufio.NewReader(env.Stdin).ReadString('\n')
		}
		asked.Answered, asked.Keep, asked.Reason = answered, said.keep, said.reason
		return Result{Details: asked}, errors.Join(err, context.Cause(ctx))
	}), &cli.Command{Name: "ask"})}
	return runApp(ctx, app, []string{programName, "ask"}, os.Stdin, os.Stdout, os.Stderr, lookupEnv)
}
