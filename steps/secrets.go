package steps

import (
	"os"
	"strings"

	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/redact"
)

// secretVariables are the only way in for secrets: the command line of a process is readable by every other process of
// the agent. Each may instead be given as the name of a file in the variable with "_FILE" added.
var secretVariables = []struct{ name, usage string }{
	{"SLIPWAY_GIT_PASSWORD", "password or token for Git over HTTP(S)"},
	{"SLIPWAY_GIT_TOKEN", "token for Git over HTTP(S), where no user name is needed"},
	{"GIT_PASSWORD", "the same as SLIPWAY_GIT_PASSWORD, as Jenkins's credentials bindings set it"},
	{"SLIPWAY_SSH_KEY_PASSPHRASE", "passphrase of the SSH key file"},
	{"SLIPWAY_SIGNING_KEY_PASSPHRASE", "passphrase of the key that signs commits"},
	{"ARGOCD_AUTH_TOKEN", "token for Argo CD, as its own command line reads it"},
}

// fileSuffix marks a variable that names a file with the secret in it.
const fileSuffix = "_FILE"

// Secret returns the value of the first of these environment variables that is set, or the content of the file that its
// variant with "_FILE" names, or "" if none is. What it returns is redacted from then on.
func (e *Env) Secret(names ...string) (string, error) {
	for _, name := range names {
		if value, _ := e.LookupEnv(name); value != "" {
			e.Redact.Add(value)
			return value, nil
		}
		path, _ := e.LookupEnv(name + fileSuffix)
		if path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return "", failure.New(failure.Usage, "the variable must name a file that the agent can read", "%s: %w", name+fileSuffix, err)
		}
		value := strings.TrimRight(string(content), "\r\n")
		e.Redact.Add(value)
		return value, nil
	}
	return "", nil
}

// addSecrets makes everything secret that a step could read later, before anything is printed. A pipe can be read only
// once and is left to Secret, as are the errors of files.
func addSecrets(secrets *redact.Redactor, lookupEnv func(string) (string, bool)) {
	opts, _ := lookupEnv(argocdOpts)
	secrets.Add(argocd.OptsSecrets(opts)...)
	for _, variable := range secretVariables {
		value, _ := lookupEnv(variable.name)
		secrets.Add(value)
		path, _ := lookupEnv(variable.name + fileSuffix)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if content, err := os.ReadFile(path); err == nil {
			secrets.Add(string(content))
		}
	}
}
