package steps

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// live is a short list of what is going on, kept below the log on a terminal. Elsewhere nothing of it is seen: the log says
// the same in lines.
type live struct {
	to       io.Writer
	terminal int // its file descriptor, -1 where there is none

	mu    sync.Mutex
	rows  []liveRow
	drawn int  // lines on the terminal
	open  bool // a line of the log is not complete yet
}

type liveRow struct{ name, text string }

func newLive(to io.Writer) *live {
	l := &live{to: to, terminal: -1}
	if f, ok := to.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		l.terminal = int(f.Fd())
	}
	return l
}

// Write puts a part of the log above the list.
func (l *live) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	n, err := l.to.Write(p)
	if len(p) > 0 {
		l.open = p[len(p)-1] != '\n'
	}
	l.draw()
	return n, err
}

// show sets the text of a row, which is a new one if there is none of that name.
func (l *live) show(name, text string) {
	if l.terminal < 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	if i := slices.IndexFunc(l.rows, func(r liveRow) bool { return r.name == name }); i >= 0 {
		l.rows[i].text = text
	} else {
		l.rows = append(l.rows, liveRow{name, text})
	}
	l.draw()
}

// end takes the list away; the log above it stays.
func (l *live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	l.rows = nil
}

func (l *live) erase() {
	if l.drawn > 0 {
		_, _ = fmt.Fprintf(l.to, "\x1b[%dA\x1b[J", l.drawn) // up so many lines, and clear what is below
	}
	l.drawn = 0
}

// size is that of the terminal now: it may be another one the next time.
func (l *live) size() (columns, lines int) {
	columns, lines, err := term.GetSize(l.terminal)
	if err != nil || columns == 0 {
		return 80, 24
	}
	return columns, lines
}

// rowIndent is where the text of a row begins, unless its name is long.
const rowIndent = 13

// draw writes each row in one line of the terminal, or it could not be erased again.
func (l *live) draw() {
	if l.open || len(l.rows) == 0 {
		return
	}
	columns, lines := l.size()
	most := max(1, lines/2)
	rows := l.rows[max(0, len(l.rows)-most):]
	for _, r := range rows {
		line := fmt.Sprintf("  %-10s %s", r.name, r.text)
		_, _ = fmt.Fprintf(l.to, "%s\r\n", line[:fitting(line, columns-1)])
	}
	l.drawn = len(rows)
}

// fitting is how many bytes of a text go into so many columns.
func fitting(text string, columns int) int {
	for i, r := range text {
		if columns -= cells(r); columns < 0 {
			return i
		}
	}
	return len(text)
}

// cells is how many columns a character takes: those of Chinese, Japanese and Korean take two, accents none.
func cells(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.Is(unicode.M, r):
		return 0
	case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// show tells a person at a terminal what a part of the step is doing now.
func (e *Env) show(part, text string) {
	if e.live != nil {
		e.live.show(part, e.Redact.String(oneText(text)))
	}
}
