package approval_test

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/steps/internal/approval"
)

var update = flag.Bool("update", false, "renew the pictures in docs/images")

// The policies under which Jenkins serves what was archived, of late and before.
const (
	jenkinsPolicy    = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
	oldJenkinsPolicy = "sandbox; default-src 'none'; img-src 'self'"
)

// pageServer has one page, and notes what it is asked for.
type pageServer struct {
	url   string
	asked []string
}

func servePage(t *testing.T, page, policy string) *pageServer {
	t.Helper()
	s := &pageServer{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.URL.Path)
		w.Header().Set("Content-Type", "text/html")
		if policy != "" {
			w.Header().Set("Content-Security-Policy", policy)
		}
		_, _ = w.Write([]byte(page))
	}))
	t.Cleanup(web.Close)
	s.url = web.URL + "/status.html"
	return s
}

// examplePages are pages of all kinds.
func examplePages(t *testing.T) map[string]string {
	t.Helper()
	records := exampleRecords()
	return map[string]string{
		"open": page(t, records[0]), "reverted": page(t, records[1]), "several": page(t, records...), "none": page(t),
		"long": page(t, longExample()), "long and several": page(t, longExample(), records[4]),
		"hostile": page(t, hostileExample(injection, "javascript:document.title = 'run'")),
	}
}

const unfold = `document.querySelectorAll("details").forEach(d => d.open = true)`

func TestPageInChromium(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	t.Run("needs no width but that of a phone", func(t *testing.T) { testWidth(t, b) })
	t.Run("has colours that can be told apart", func(t *testing.T) { testContrast(t, b) })
	t.Run("is complete under the policy of Jenkins", func(t *testing.T) { testPolicy(t, b) })
	t.Run("runs nothing and loads nothing", func(t *testing.T) { testInert(t, b) })
	t.Run("shows where the keyboard is", func(t *testing.T) { testKeyboard(t, b) })
	t.Run("is printed with what is folded", func(t *testing.T) { testPrint(t, b) })
	if *update {
		t.Run("pictures", func(t *testing.T) { takePictures(t, b) })
	}
}

func testWidth(t *testing.T, b *browser) {
	t.Helper()
	for name, page := range examplePages(t) {
		tab := b.open(t, servePage(t, page, "").url, 360, 740, "light")
		tab.eval(t, unfold+", null", new(any))
		for _, width := range []int{360, 320} {
			tab.resize(t, width, 740)
			var got struct {
				Window, Page int
				Wide         []string
			}
			tab.eval(t, `({window: innerWidth, page: document.documentElement.scrollWidth, wide: [...document.querySelectorAll("body *")].
				filter(e => !e.closest(".diff code") && e.getBoundingClientRect().right > innerWidth).map(e => e.tagName + "." + e.className)})`, &got)
			if got.Window != width || got.Page > width || len(got.Wide) > 0 {
				t.Errorf("%s: on a screen of %d the window is %d and the page %d wide; too wide are %q", name, width, got.Window, got.Page, got.Wide)
			}
		}
	}
	tab := b.open(t, servePage(t, examplePages(t)["reverted"], "").url, 360, 740, "light")
	var scrolls bool
	tab.eval(t, `(e => { e.scrollLeft = 50; return e.scrollLeft == 50 })(document.querySelector(".diff"))`, &scrolls)
	if !scrolls {
		t.Error("the difference does not scroll in its box")
	}
}

// contrasts lists the texts of a page of less contrast than WCAG 2 asks for at its level AA.
const contrasts = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const luminance = c => { const [r, g, b] = parse(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b };
	const background = e => { const c = getComputedStyle(e).backgroundColor;
		return parse(c)[3] === 0 && e.parentElement ? background(e.parentElement) : c };
	const found = {checked: 0, bad: []};
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())) continue;
		const [a, b] = [luminance(getComputedStyle(e).color), luminance(background(e))].sort((x, y) => y - x);
		found.checked++;
		if ((a + 0.05) / (b + 0.05) < 4.5) found.bad.push(e.textContent.slice(0, 40) + " " + getComputedStyle(e).color + " on " + background(e));
	}
	found.ground = getComputedStyle(document.documentElement).backgroundColor;
	return found;
})()`

func testContrast(t *testing.T, b *browser) {
	t.Helper()
	grounds := map[string]bool{}
	pages := examplePages(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, name := range []string{"reverted", "several"} {
			tab := b.open(t, servePage(t, pages[name], "").url, 1060, 700, scheme)
			var got struct {
				Checked int
				Bad     []string
				Ground  string
			}
			tab.eval(t, contrasts, &got)
			if len(got.Bad) > 0 || got.Checked < 50 {
				t.Errorf("%s: of %d texts these are hard to read: %q", scheme, got.Checked, got.Bad)
			}
			grounds[got.Ground] = true
		}
	}
	if len(grounds) != 2 {
		t.Errorf("light and dark are %v", grounds)
	}
}

func testPolicy(t *testing.T, b *browser) {
	t.Helper()
	for _, policy := range []string{jenkinsPolicy, oldJenkinsPolicy} {
		pages := examplePages(t)
		for _, name := range []string{"reverted", "long and several", "hostile"} {
			s := servePage(t, pages[name], policy)
			tab := b.open(t, s.url, 1060, 700, "light")
			var folded int
			tab.eval(t, `document.querySelectorAll("details:not([open])").length`, &folded)
			for range folded {
				tab.click(t, "details:not([open]) > summary")
			}
			var got struct {
				Width   string
				Missing []string
			}
			tab.eval(t, `({width: getComputedStyle(document.body).maxWidth,
				missing: [...document.querySelectorAll("main *")].filter(e => e.textContent.trim() && !e.checkVisibility()).map(e => e.tagName)})`, &got)
			if got.Width != "none" {
				t.Errorf("%s: the styles are applied", name)
			}
			if len(got.Missing) > 0 {
				t.Errorf("%s: with %d parts unfolded by the mouse these cannot be seen: %q", name, folded, got.Missing)
			}
			if !slices.Equal(s.asked, []string{"/status.html"}) {
				t.Errorf("%s: it asked for %q", name, s.asked)
			}
		}
	}
}

func testInert(t *testing.T, b *browser) {
	t.Helper()
	for name, page := range examplePages(t) {
		s := servePage(t, page, "")
		tab := b.open(t, s.url, 1060, 700, "light")
		var title string
		tab.eval(t, unfold+", document.title", &title)
		if title == "run" || !strings.HasPrefix(title, "Release") {
			t.Errorf("%s: the title is %q", name, title)
		}
		if !slices.Equal(s.asked, []string{"/status.html"}) || !slices.Equal(tab.requests, []string{s.url}) {
			t.Errorf("%s: it asked for %q, in all for %q", name, s.asked, tab.requests)
		}
	}
}

func testKeyboard(t *testing.T, b *browser) {
	t.Helper()
	tab := b.open(t, servePage(t, examplePages(t)["several"], jenkinsPolicy+" 'unsafe-inline'").url, 1060, 700, "light")
	stops := map[string]bool{}
	for range 30 {
		tab.press(t, "Tab", 9)
		var got struct{ Name, Outline string }
		tab.eval(t, `({name: document.activeElement.tagName, outline: getComputedStyle(document.activeElement).outlineStyle})`, &got)
		stops[got.Name] = true
		if got.Name != "BODY" && got.Outline != "solid" {
			t.Errorf("%s has the keyboard, and the outline %q", got.Name, got.Outline)
		}
	}
	if !stops["A"] || !stops["SUMMARY"] {
		t.Errorf("the keyboard gets to %v, want links and what is folded", stops)
	}
}

func testPrint(t *testing.T, b *browser) {
	t.Helper()
	tab := b.open(t, servePage(t, examplePages(t)["several"], "").url, 1060, 700, "light")
	tab.call(t, "Emulation.setEmulatedMedia", object{"media": "print"}, nil)
	var folded, printed int
	tab.eval(t, `document.querySelectorAll("details:not([open]) > :not(summary)").length`, &folded)
	tab.eval(t, `[...document.querySelectorAll("details:not([open]) > :not(summary)")].filter(e => e.checkVisibility()).length`, &printed)
	if folded == 0 || printed != folded {
		t.Errorf("of %d folded parts %d are on paper", folded, printed)
	}
}

// takePictures looks best where the fonts are installed that the page asks for first, in Debian fonts-inter and fonts-jetbrains-mono.
func takePictures(t *testing.T, b *browser) {
	t.Helper()
	records := exampleRecords()
	for name, picture := range map[string]struct {
		record approval.Record
		width  int
		scheme string
	}{
		"status.png":       {records[1], 1040, "light"},
		"status-phone.png": {records[0], 360, "dark"},
	} {
		tab := b.open(t, servePage(t, page(t, picture.record), "").url, picture.width, 740, picture.scheme)
		file := filepath.Join("..", "..", "..", "docs", "images", name)
		if err := os.WriteFile(file, smaller(t, tab.screenshot(t)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// smaller is a picture with no more than the 256 colours that it has most of.
func smaller(t *testing.T, data []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	area := picture.Bounds()
	counts := map[color.RGBA]int{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			counts[color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)]++
		}
	}
	var palette color.Palette
	for c := range counts {
		palette = append(palette, c)
	}
	slices.SortFunc(palette, func(a, b color.Color) int {
		p, q := a.(color.RGBA), b.(color.RGBA)
		return cmp.Or(counts[q]-counts[p], bytes.Compare([]byte{p.R, p.G, p.B}, []byte{q.R, q.G, q.B}))
	})
	few := image.NewPaletted(area, palette[:min(256, len(palette))])
	draw.Draw(few, area, picture, area.Min, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, few); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
