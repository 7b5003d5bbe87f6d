package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
)

// answer is what whoever sits at the terminal said.
type answer struct {
	keep   bool
	reason string // of a no, and may be empty
}

// timeToRecord is how long before the deadline a reason ends, so that whoever else waits does not take a no that is still being
// explained for silence.
const timeToRecord = 5 * time.Second

// canAsk says whether somebody may sit at the terminal: stdin and stderr are one that can show a prompt, and the step is not
// in the background, where reading would stop it.
func (e *Env) canAsk() bool {
	stdin, ok := e.Stdin.(*os.File)
	return ok && e.live != nil && e.live.terminal >= 0 && term.IsTerminal(int(stdin.Fd())) && inForeground(int(stdin.Fd()))
}

// ask puts a question that is answered by yes or no in the list on the terminal, and for a no it asks why. It is only for where
// canAsk. ok is false when there is no answer, because the deadline has come, ctx or the input of the terminal has ended. A no
// is an answer as soon as it is entered: whatever ends its reason, what was typed until then counts. The terminal is as it was
// before when ask returns or ctx has ended.
func (e *Env) ask(ctx context.Context, question string, deadline time.Time) (a answer, ok bool, err error) {
	keys, err := openKeyboard(ctx, int(e.Stdin.(*os.File).Fd()))
	if err != nil {
		return answer{}, false, fmt.Errorf("terminal: %w", err)
	}
	defer keys.close()
	p := &prompt{env: e, keys: keys, deadline: deadline}
	keep, ok, err := p.decision(ctx, question)
	if !ok || keep {
		return answer{keep: keep}, ok, err
	}
	p.deadline = deadline.Add(-timeToRecord)
	reason, _, _ := p.line(ctx, "reason", "why not? (may be empty)")
	e.show("reason", reason)
	return answer{reason: strings.TrimSpace(reason)}, true, nil
}

// prompt reads lines below the log. Keys have no effect by themselves: a line counts when it is entered.
type prompt struct {
	env      *Env
	keys     *keyboard
	deadline time.Time
}

const answerRow = "answer"

func (p *prompt) decision(ctx context.Context, question string) (keep, ok bool, err error) {
	text := question + " [y/n]"
	for {
		said, entered, err := p.line(ctx, answerRow, text)
		if err != nil || !entered {
			p.env.show(answerRow, question+" not answered here")
			return false, false, err
		}
		switch strings.ToLower(strings.TrimSpace(said)) {
		case "y", "yes":
			p.env.show(answerRow, question+" yes")
			return true, true, nil
		case "n", "no":
			p.env.show(answerRow, question+" no")
			return false, true, nil
		}
		text = "that is neither y nor n: " + question + " [y/n]"
	}
}

const (
	endOfInput = 0x04 // Ctrl-D
	killLine   = 0x15 // Ctrl-U
	del        = 0x7f
)

// line reads a line in a row of its own. entered is false when the deadline, ctx or the input ended it; text is what was typed
// until then.
func (p *prompt) line(ctx context.Context, row, question string) (text string, entered bool, err error) {
	var typed []rune
	for {
		left := time.Until(p.deadline)
		if left <= 0 || ctx.Err() != nil {
			return string(typed), false, nil
		}
		if inForeground(p.keys.fd) {
			p.draw(row, countdown(left)+" left   "+question+" ", typed)
		}
		r, pressed, err := p.keys.read(min(left, time.Second))
		switch {
		case errors.Is(err, io.EOF):
			return string(typed), false, nil
		case err != nil:
			return string(typed), false, err
		case !pressed:
		case r == '\r' || r == '\n':
			return string(typed), true, nil
		case r == endOfInput && len(typed) == 0:
			return "", false, nil
		case r == killLine:
			typed = nil
		case r == '\b' || r == del:
			typed = typed[:max(0, len(typed)-1)]
		case unicode.IsPrint(r):
			typed = append(typed, r)
		}
	}
}

// draw shows the end of what was typed, where it does not fit as a whole.
func (p *prompt) draw(row, question string, typed []rune) {
	columns, _ := p.env.live.size()
	room := columns - rowIndent - len(question) - len("._.")
	from := len(typed)
	for from > 0 && room >= cells(typed[from-1]) {
		from--
		room -= cells(typed[from])
	}
	shown := string(typed[from:]) + "_"
	if from > 0 {
		shown = "…" + shown
	}
	p.env.show(row, question+shown)
}

// countdown is m:ss or h:mm:ss; the last second is 0:01.
func countdown(left time.Duration) string {
	seconds := int((left + time.Second - 1) / time.Second)
	if hours := seconds / 3600; hours > 0 {
		return fmt.Sprintf("%d:%02d:%02d", hours, seconds/60%60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}
