package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"slipway/steps/internal/redact"
)

const secret = `p@ss/w"rd é\+ 1`

func TestStringMasksEveryForm(t *testing.T) {
	asJSON, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"as it is":                    secret,
		"in a query":                  url.QueryEscape(secret),
		"in a query, lower case":      strings.ToLower(url.QueryEscape(secret)),
		"in a path":                   url.PathEscape(secret),
		"in user information":         strings.TrimPrefix(url.UserPassword("x", secret).String(), "x:"),
		"in JSON":                     unquoted(string(asJSON)),
		"in ASCII JSON":               unquoted(strconv.QuoteToASCII(secret)),
		"quoted by Go":                unquoted(fmt.Sprintf("%q", secret)),
		"in base64":                   base64.StdEncoding.EncodeToString([]byte(secret)),
		"in base64 for URLs":          base64.URLEncoding.EncodeToString([]byte(secret)),
		"in base64 without padding":   base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"in base64 that is escaped":   url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret))),
		"with every byte escaped":     percentAll(secret),
		"with a secret directly next": secret + "another one",
	} {
		t.Run(name, func(t *testing.T) {
			r := redact.New()
			r.Add(secret, "another one")
			got := r.String("before " + form + " after")
			if want := "before *** after"; strings.ReplaceAll(got, "******", "***") != want {
				t.Errorf("%q became %q", form, got)
			}
		})
	}
}

func unquoted(literal string) string { return literal[1 : len(literal)-1] }

func percentAll(text string) string {
	all := ""
	for i := range len(text) {
		all += fmt.Sprintf("%%%02X", text[i])
	}
	return all
}

func TestStringMasksBasicAuthenticationAtEveryAlignment(t *testing.T) {
	const word = "correct-horse-battery"
	r := redact.New()
	r.Add(word)
	for _, user := range []string{"", "u", "us", "use", "user"} {
		for _, after := range []string{"", "1", "12"} {
			header := base64.StdEncoding.EncodeToString([]byte(user + ":" + word + after))
			masked := r.String("Authorization: Basic " + header)
			// What is left around the mask are the user's bytes and at most the bits of half a character.
			left, err := base64.RawStdEncoding.DecodeString(strings.SplitN(strings.TrimPrefix(masked, "Authorization: Basic "), "*", 2)[0])
			if !strings.Contains(masked, redact.Mask) || strings.Contains(string(left), word[:1]) && err == nil {
				t.Errorf("user %q: %s, decoded %q", user, masked, left)
			}
		}
	}
}

func TestStringMasksTheSecretsOfURLs(t *testing.T) {
	r := redact.New()
	r.Add("known-token")
	for text, want := range map[string]string{
		"clone https://bot:s3cr3t@git.example.com/x.git": "clone https://bot:***@git.example.com/x.git",
		"https://ghp_abc@git.example.com/x.git":          "https://***@git.example.com/x.git",
		"http://a:b@h http://c:d@h":                      "http://a:***@h http://c:***@h",
		"https://known-token:x-oauth-basic@git/x":        "https://***:***@git/x",
		"https://a:p@ss@git/x":                           "https://a:***@git/x",
		"postgres://a:b@h":                               "postgres://a:***@h",
		"ssh://git@git.example.com/x.git":                "ssh://git@git.example.com/x.git",
		"https://git.example.com/a@b:c":                  "https://git.example.com/a@b:c",
		"https://git.example.com":                        "https://git.example.com",
		"https://":                                       "https://",
		"registry:5000/team/app@sha256:abc":              "registry:5000/team/app@sha256:abc",
	} {
		if got := r.String(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestTheLongestSecretWins(t *testing.T) {
	r := redact.New()
	r.Add("hunter", "hunter2-and-more")
	if got := r.String("hunter2-and-more hunter2"); got != "*** ***2" {
		t.Errorf("got %q", got)
	}
}

func TestShortAndEmptyWordsAreNoSecrets(t *testing.T) {
	r := redact.New()
	r.Add("", "dev", "  \n", "\nlong enough\n")
	if got := r.String("dev is long enough"); got != "dev is ***" {
		t.Errorf("got %q", got)
	}
}

func TestWriterCatchesSecretsInPieces(t *testing.T) {
	const text = "start hunter2! https://bot:word@host/ and hunter2? end hunt"
	for size := 1; size < len(text); size++ {
		var out bytes.Buffer
		r := redact.New()
		r.Add("hunter2!", "hunter2?")
		w := r.Writer(&out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if want := "start *** https://bot:***@host/ and *** end hunt"; out.String() != want {
			t.Errorf("pieces of %d: %q", size, out.String())
		}
	}
}

func TestWriterHoldsBackNothingThatIsHarmless(t *testing.T) {
	var out bytes.Buffer
	r := redact.New()
	r.Add("hunter2")
	_, _ = r.Writer(&out).Write([]byte("approve? [y/n] "))
	if out.String() != "approve? [y/n] " {
		t.Errorf("got %q", out.String())
	}
}

// FuzzTheSecretNeverSurvives writes a text with a secret in one of its forms in two pieces.
func FuzzTheSecretNeverSurvives(f *testing.F) {
	f.Add("hunter2", "login with ", " was refused", byte(0), uint(9))
	f.Add("p@ss/w%rd", "https://bot:", "@host/x", byte(1), uint(20))
	f.Add(`\\\\\\\\`, `\`, `\`, byte(2), uint(3))
	f.Add("%%%25%25", "%", "25", byte(3), uint(5))
	f.Add("aaaa", "aa", "aaab", byte(4), uint(4))
	f.Add("geheim mit é", "{", "}", byte(5), uint(2))
	f.Fuzz(func(t *testing.T, word, before, after string, form byte, split uint) {
		word = strings.TrimSpace(word)
		// A secret made of the mask's own characters cannot be told from a mask.
		if len(word) < 4 || len(word) > 200 || strings.Contains(word, "*") {
			t.Skip()
		}
		escaped := map[byte]func(string) string{
			0: func(s string) string { return s },
			1: url.QueryEscape,
			2: func(s string) string { return unquoted(strconv.Quote(s)) },
			3: url.PathEscape,
			4: func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			5: func(s string) string { return unquoted(strconv.QuoteToASCII(s)) },
		}[form%6](word)
		text := before + escaped + after
		r := redact.New()
		r.Add(word)
		whole := r.String(text)
		if strings.Contains(whole, word) || strings.Contains(whole, escaped) {
			t.Errorf("%q became %q", text, whole)
		}

		var out bytes.Buffer
		w := r.Writer(&out)
		at := int(split % uint(len(text)+1))
		for _, piece := range []string{text[:at], text[at:]} {
			if _, err := w.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != whole {
			t.Errorf("in pieces %q, at once %q", out.String(), whole)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	r := redact.New()
	for i := range 6 {
		r.Add(fmt.Sprintf("glpat-0123456789abcdef%d", i))
	}
	text := []byte(strings.Repeat("-    newTag: 1.24.3 # set by the pipeline of services/shop-frontend\n", 1000))
	w := r.Writer(new(bytes.Buffer))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = w.Write(text)
	}
}
