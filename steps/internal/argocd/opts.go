package argocd

import (
	"errors"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"

	"slipway/steps/internal/failure"
)

// errNoCertificate says that a PEM file holds something else.
var errNoCertificate = errors.New("there is no certificate in it")

type header struct{ name, value string }

// cliOptions are options of the argocd command. The SDK would parse ARGOCD_OPTS too, in the init of a package, and end the
// process over what it does not like; package startup keeps the variable from it.
type cliOptions struct {
	values  map[string]string
	headers []header
}

func (o cliOptions) value(name string) string {
	if value := o.values[name]; value != "true" {
		return value
	}
	return ""
}

func (o cliOptions) flag(name string) bool { return o.values[name] == "true" }

const hintOpts = "write ARGOCD_OPTS as for the argocd command: --grpc-web --server-crt FILE --header 'NAME: VALUE'"

// parseOpts reads ARGOCD_OPTS as the argocd command does: --name, --name VALUE and --name=VALUE, quoted as in a shell. Options
// that slipway has no use for are allowed. Errors never show a value, which may be a token.
func parseOpts(text string) (cliOptions, error) {
	words, err := shellquote.Split(text)
	if err != nil {
		return cliOptions{}, failure.New(failure.Usage, hintOpts, "ARGOCD_OPTS: a quote is not closed")
	}
	o, stray := splitOptions(words)
	if stray > 0 {
		return o, failure.New(failure.Usage, hintOpts, "ARGOCD_OPTS: word %d belongs to no option", stray)
	}
	for _, h := range o.headers {
		if h.name == "" {
			return o, failure.New(failure.Usage, hintOpts, "ARGOCD_OPTS: a header is not written NAME: VALUE")
		}
	}
	return o, nil
}

// splitOptions returns the number of a word that belongs to no option, counted from 1.
func splitOptions(words []string) (o cliOptions, stray int) {
	o.values = map[string]string{}
	for i := 0; i < len(words); i++ {
		name, value, assigned := strings.Cut(words[i], "=")
		short := strings.HasPrefix(name, "-H")
		switch {
		case short && len(words[i]) > 2:
			value, assigned = strings.TrimPrefix(words[i][2:], "="), true
		case !short && !strings.HasPrefix(name, "--"):
			stray = max(stray, i+1)
			continue
		}
		if !assigned {
			value = "true"
			if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
				i++
				value = words[i]
			}
		}
		if name = strings.TrimPrefix(name, "--"); short || name == "header" {
			key, content, found := strings.Cut(value, ":")
			if !found {
				key, content = "", value
			}
			o.headers = append(o.headers, header{strings.TrimSpace(key), strings.TrimSpace(content)})
			continue
		}
		o.values[name] = value
	}
	return o, stray
}

// OptsSecrets returns what is secret in ARGOCD_OPTS, also in one that cannot be parsed.
func OptsSecrets(text string) []string {
	words, err := shellquote.Split(text)
	if err != nil {
		words = strings.Fields(strings.NewReplacer(`"`, " ", `'`, " ").Replace(text))
		// Which word belongs to which option is not certain; that of a header may have been torn apart.
		return slices.DeleteFunc(words, func(word string) bool { return strings.HasPrefix(word, "--") || len(word) < 16 })
	}
	o, _ := splitOptions(words)
	return append(headerSecrets(o.headers), o.value("auth-token"))
}

// headerSecrets are whole values and, of one such as "Bearer TOKEN", the last word.
func headerSecrets(headers []header) []string {
	var secrets []string
	for _, h := range headers {
		secrets = append(secrets, h.value)
		if words := strings.Fields(h.value); len(words) > 1 {
			secrets = append(secrets, words[len(words)-1])
		}
	}
	return secrets
}
