package approval_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience is how long the browser may take for anything at all on a machine that is busy with something else.
const patience = 2 * time.Minute

// browser is a headless Chromium that is told what to do by its debugging protocol over a pair of pipes.
type browser struct {
	to   *os.File
	from *os.File
	read *bufio.Reader
	last int
}

// message is what goes over the pipes in both directions: a call, its result, or an event.
type message struct {
	ID      int                       `json:"id,omitempty"`
	Method  string                    `json:"method,omitempty"`
	Params  any                       `json:"params,omitempty"`
	Session string                    `json:"sessionId,omitempty"`
	Result  json.RawMessage           `json:"result,omitempty"`
	Error   *struct{ Message string } `json:"error,omitempty"`
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("the page is tested in Chromium: install Debian's package chromium (apt-get install chromium), as make test does")
	}
	theirIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir="+home,
		"--remote-debugging-pipe", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the protocol has it
	var log bytes.Buffer
	cmd.Stderr = &log // a buffer makes Wait wait for the children, too, which write to home
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{to: to, from: from, read: bufio.NewReader(from)}
	t.Cleanup(func() {
		_, _ = to.Write([]byte(`{"id":1000000,"method":"Browser.close"}` + "\x00"))
		stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer stop.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("chromium: %v\n%s", err, log.String())
		}
		_, _ = to.Close(), from.Close()
	})
	return b
}

// call returns the result of a call, after the events that came before it.
func (b *browser) call(t *testing.T, session, method string, params, result any, seen func(message)) {
	t.Helper()
	b.last++
	id := b.last
	call, err := json.Marshal(message{ID: id, Method: method, Params: params, Session: session})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.to.Write(append(call, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		m := b.next(t)
		if m.ID != id {
			if seen != nil {
				seen(m)
			}
			continue
		}
		if m.Error != nil {
			t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// next is the next thing that the browser says.
func (b *browser) next(t *testing.T) message {
	t.Helper()
	if err := b.from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	line, err := b.read.ReadBytes(0)
	if err != nil {
		t.Fatalf("chromium says nothing more: %v", err)
	}
	var m message
	if err := json.Unmarshal(line[:len(line)-1], &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// tab is one page of the browser.
type tab struct {
	b        *browser
	session  string
	requests []string // what it has asked any server for
	loaded   bool
}

type object map[string]any

// open loads a page in a window of its own.
func (b *browser) open(t *testing.T, url string, width, height int, scheme string) *tab {
	t.Helper()
	var target struct{ TargetID string }
	b.call(t, "", "Target.createTarget", object{"url": "about:blank"}, &target, nil)
	var attached struct{ SessionID string }
	b.call(t, "", "Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &attached, nil)
	p := &tab{b: b, session: attached.SessionID}
	t.Cleanup(func() { b.call(t, "", "Target.closeTarget", object{"targetId": target.TargetID}, nil, nil) })
	p.call(t, "Page.enable", nil, nil)
	p.call(t, "Network.enable", nil, nil)
	p.resize(t, width, height)
	p.call(t, "Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	p.call(t, "Page.navigate", object{"url": url}, nil)
	for !p.loaded {
		p.see(b.next(t))
	}
	return p
}

func (p *tab) call(t *testing.T, method string, params, result any) {
	t.Helper()
	p.b.call(t, p.session, method, params, result, p.see)
}

func (p *tab) see(m message) {
	if m.Session != p.session {
		return
	}
	switch m.Method {
	case "Page.loadEventFired":
		p.loaded = true
	case "Network.requestWillBeSent":
		request, _ := m.Params.(map[string]any)["request"].(map[string]any)
		url, _ := request["url"].(string)
		p.requests = append(p.requests, url)
	}
}

// resize makes the window that of a phone, whose pages may be wider than it is.
func (p *tab) resize(t *testing.T, width, height int) {
	t.Helper()
	p.call(t, "Emulation.setDeviceMetricsOverride", object{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

// eval evaluates an expression in the page.
func (p *tab) eval(t *testing.T, expression string, into any) {
	t.Helper()
	var evaluated struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	p.call(t, "Runtime.evaluate", object{"expression": expression, "returnByValue": true}, &evaluated)
	if evaluated.ExceptionDetails != nil {
		t.Fatalf("%s: %s", expression, evaluated.ExceptionDetails.Exception.Description)
	}
	if err := json.Unmarshal(evaluated.Result.Value, into); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
}

// press is a key on the keyboard.
func (p *tab) press(t *testing.T, key string, code int) {
	t.Helper()
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		p.call(t, "Input.dispatchKeyEvent", object{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
	}
}

// click is the mouse in the middle of the first element that a selector matches.
func (p *tab) click(t *testing.T, selector string) {
	t.Helper()
	var at struct{ X, Y float64 }
	p.eval(t, `(() => { const e = document.querySelector(`+"`"+selector+"`"+`); e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2} })()`, &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.call(t, "Input.dispatchMouseEvent", object{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// screenshot returns the page as it is, from top to bottom.
func (p *tab) screenshot(t *testing.T) []byte {
	t.Helper()
	var size struct{ Width, Height float64 }
	p.eval(t, `({width: innerWidth, height: document.documentElement.scrollHeight})`, &size)
	var shot struct{ Data []byte }
	p.call(t, "Page.captureScreenshot", object{
		"format": "png", "captureBeyondViewport": true,
		"clip": object{"x": 0, "y": 0, "width": size.Width, "height": size.Height, "scale": 1},
	}, &shot)
	return shot.Data
}
