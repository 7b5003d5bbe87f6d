package steps_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"slipway/steps"
)

const (
	windowVariable = "PROMPT_TEST_WINDOW" // asks that long
	nextVariable   = "PROMPT_TEST_NEXT"   // reads a line after the answer
)

// init makes this test binary the one that asks, where it is started on a terminal to do so.
func init() {
	window, err := time.ParseDuration(os.Getenv(windowVariable))
	if err != nil {
		return
	}
	ctx, stop := steps.NotifyContext(context.Background())
	code := steps.MainAsking(ctx, window, os.Getenv(nextVariable) != "", os.NewFile(3, "orders"), os.LookupEnv)
	stop()
	os.Exit(code) //nolint:forbidigo // it stands in for main
}

// keys, as a terminal sends them.
const (
	ctrlC     = "\x03"
	ctrlD     = "\x04"
	ctrlS     = "\x13"
	ctrlQ     = "\x11"
	ctrlU     = "\x15"
	backspace = "\x7f"
)

func TestWhoeverSitsAtTheTerminalAnswers(t *testing.T) {
	type talk [][2]string // what is seen on the terminal, and what is typed then
	const question = `answer     30:00 left   keep this release\? \[y/n\] _`
	const again = `that is neither y nor n: keep this release\? \[y/n\] _`
	const why = `reason     \d+:\d\d left   why not\? \(may be empty\) _`
	for name, tt := range map[string]struct {
		talk talk
		want steps.Asked
	}{
		"yes":           {talk{{question, "y\r"}}, steps.Asked{Answered: true, Keep: true}},
		"yes as a word": {talk{{question, " YES \r"}}, steps.Asked{Answered: true, Keep: true}},
		"a key alone is no answer": {
			talk{{question, "n"}, {`29:5\d left   keep this release\? \[y/n\] n_`, backspace}, {`\[y/n\] _`, "y\r"}},
			steps.Asked{Answered: true, Keep: true},
		},
		"no with a reason": {
			talk{{question, "n\r"}, {why, "the errors double\r"}},
			steps.Asked{Answered: true, Reason: "the errors double"},
		},
		"no without a reason": {talk{{question, "no\r"}, {why, "\r"}}, steps.Asked{Answered: true}},
		"a reason that is corrected": {
			talk{{question, "n\r"}, {why, "wrong" + ctrlU + "slöw" + backspace + backspace + "ow"}, {`empty\) slow_`, "\r"}},
			steps.Asked{Answered: true, Reason: "slow"},
		},
		"a reason in Chinese": {
			talk{{question, "n\r"}, {why, "错误率翻倍"}, {`错误率翻倍_`, "\r"}},
			steps.Asked{Answered: true, Reason: "错误率翻倍"},
		},
		"no, and the input ends before the reason": {
			talk{{question, "n\r"}, {why, ctrlD}},
			steps.Asked{Answered: true},
		},
		"something else, and then yes": {
			talk{{question, "maybe\r"}, {again, "\r"}, {again, "y\r"}},
			steps.Asked{Answered: true, Keep: true},
		},
		"arrow keys, function keys and pasting mean nothing": {
			talk{{question, "\x1b[A\x1bOP\x1b[15~\x1b[1;5C\x1b[200~y\x1b[201~\x1bn\a\t\xff"}, {`\[y/n\] y_`, "\r"}},
			steps.Asked{Answered: true, Keep: true},
		},
		"Ctrl-D in a line that is not empty means nothing": {
			talk{{question, "y" + ctrlD + "\r"}},
			steps.Asked{Answered: true, Keep: true},
		},
		"the end of the input": {talk{{question, ctrlD}, {"not answered here", ""}}, steps.Asked{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term := newTerminal(t)
			term.start("30m")
			term.order("ask")
			for _, turn := range tt.talk {
				term.expect(turn[0])
				term.press(turn[1])
			}
			tt.want.CanAsk = true
			if diff := cmp.Diff(tt.want, term.asked()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAQuestionOnATerminalEndsWithItsDeadline(t *testing.T) {
	for name, tt := range map[string]struct {
		window, first, typed string
		want                 steps.Asked
	}{
		"nothing was typed":                          {"2s", "0:02", "", steps.Asked{CanAsk: true}},
		"a key alone":                                {"4s", "0:04", "n", steps.Asked{CanAsk: true}},
		"a reason that is begun with":                {"9s", "0:09", "n\rit is sl", steps.Asked{CanAsk: true, Answered: true, Reason: "it is sl"}},
		"a no for which there is no time to explain": {"4s", "0:04", "n\r", steps.Asked{CanAsk: true, Answered: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term := newTerminal(t)
			term.start(tt.window)
			term.order("ask")
			term.expect(`answer     ` + tt.first + ` left   keep this release\?`)
			term.press(tt.typed)
			if diff := cmp.Diff(tt.want, term.asked()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongCountdownsHaveHours(t *testing.T) {
	t.Parallel()
	term := newTerminal(t)
	term.start("2h")
	term.order("ask")
	term.expect(`answer     2:00:00 left`)
	term.expect(`answer     1:59:5\d left`)
	term.press("y\r")
	term.asked()
}

func TestASignalEndsAQuestionAndRestoresTheTerminal(t *testing.T) {
	for name, tt := range map[string]struct {
		typed string
		stop  func(*terminal)
		code  int
	}{
		"Ctrl-C":                  {"y", func(term *terminal) { term.press(ctrlC) }, steps.ExitInterrupt},
		"Ctrl-C in the reason":    {"n\rslow", func(term *terminal) { term.press(ctrlC) }, steps.ExitInterrupt},
		"SIGTERM":                 {"", func(term *terminal) { term.signal(syscall.SIGTERM) }, steps.ExitTerminate},
		"SIGTERM after Ctrl-\\":   {"\x1cy", func(term *terminal) { term.signal(syscall.SIGTERM) }, steps.ExitTerminate},
		"SIGTERM while suspended": {"", suspended, steps.ExitTerminate},
		"SIGTERM while the output is stopped, which keeps the step from ending": {"", func(term *terminal) {
			term.press(ctrlS)
			term.order("this line waits")
			term.signal(syscall.SIGTERM)
			term.await("restored", func(mode unix.Termios) bool { return mode == term.before })
			term.press(ctrlQ)
		}, steps.ExitTerminate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term := newTerminal(t)
			term.start("30m")
			term.order("ask")
			term.expect("keep this release")
			if term.press(tt.typed); tt.typed != "" {
				term.expect(regexp.QuoteMeta(tt.typed[len(tt.typed)-1:]) + "_")
			}
			tt.stop(term)
			term.ends(tt.code)
		})
	}
}

// suspended stops the step as Ctrl-Z does, and takes the terminal as a shell does.
func suspended(term *terminal) {
	term.signal(syscall.SIGSTOP)
	term.set(term.before)
	term.signal(syscall.SIGTERM)
	term.signal(syscall.SIGCONT)
}

func TestAQuestionGoesOnAfterTheStepWasSuspended(t *testing.T) {
	t.Parallel()
	term := newTerminal(t)
	term.start("30m")
	term.order("ask")
	term.expect("keep this release")
	term.signal(syscall.SIGSTOP)
	term.set(term.before)
	term.signal(syscall.SIGCONT)
	term.await("without echo again", func(mode unix.Termios) bool { return mode.Lflag&(unix.ECHO|unix.ICANON) == 0 })
	term.press("y\r")
	if got := term.asked(); !got.Keep {
		t.Errorf("the answer is %+v", got)
	}
}

func TestALogAppearsAboveTheQuestion(t *testing.T) {
	t.Parallel()
	term := newTerminal(t)
	term.start("30m")
	term.order("ask")
	term.expect("keep this release")
	term.press("y")
	term.expect("y_\r")
	term.order("web: Degraded")
	term.expect(`\x1b\[1A\x1b\[J\d\d:\d\d:\d\d INFO  web: Degraded\r\n  answer     [^\n]*\[y/n\] y_\r+\n`)
	term.press("\r")
	if got := term.asked(); !got.Keep {
		t.Errorf("the answer is %+v", got)
	}
}

func TestAQuestionFitsTheWindow(t *testing.T) {
	const chinese = "发布之后错误率翻倍，先回退再查"
	t.Parallel()
	term := newTerminal(t)
	term.start("30m")
	term.order("ask")
	term.expect("keep this release")
	term.press("n\r")
	term.expect("why not")
	term.press(chinese)
	term.expect(chinese + "_")
	term.resize(60)
	term.expect("empty\\) …[^\n]*退再查_\r")
	for columns := range 60 {
		term.resize(uint16(columns + 1))
		term.order(fmt.Sprintf("now %d", columns+1))
		for _, row := range term.expect(fmt.Sprintf(`INFO  now %d\r\n([^\r]*)\r+\n([^\r]*)\r+\n`, columns+1))[1:] {
			if taken := len([]rune(row)) + len(regexp.MustCompile(`\p{Han}|，`).FindAllString(row, -1)); taken > columns {
				t.Errorf("a window of %d columns gets %d: %q", columns+1, taken, row)
			}
		}
	}
	term.press("\r")
	if got := term.asked(); got.Reason != chinese {
		t.Errorf("the answer is %+v", got)
	}
}

func TestOnlyWhatIsTypedInAnswerCounts(t *testing.T) {
	t.Parallel()
	term := newTerminal(t)
	term.start("30m", nextVariable+"=1")
	term.press("n\n")
	term.expect("n\r\n") // the echo
	term.order("ask")
	term.expect(`keep this release\? \[y/n\] _`)
	term.press("y\rfor the next program\r")
	if diff := cmp.Diff(steps.Asked{CanAsk: true, Answered: true, Keep: true, Next: "for the next program\n"}, term.asked()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, cmd *exec.Cmd){
		"stdin is none":           func(_ *testing.T, cmd *exec.Cmd) { cmd.Stdin = nil },
		"stderr is none":          func(_ *testing.T, cmd *exec.Cmd) { cmd.Stderr = io.Discard },
		"a terminal that is dumb": func(_ *testing.T, cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "TERM=dumb") },
		"the step is in the background": func(t *testing.T, cmd *exec.Cmd) {
			t.Helper()
			bash, err := exec.LookPath("bash")
			if err != nil {
				t.Skip("bash is not installed")
			}
			cmd.Args = []string{bash, "-c", `set -m; "$0" <&0 & wait $!`, cmd.Path}
			cmd.Path = bash
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term := newTerminal(t)
			term.prepare("30m")
			change(t, term.cmd)
			term.run()
			if got := term.asked(); got.CanAsk {
				t.Errorf("it asks: %+v", got)
			}
		})
	}
}
