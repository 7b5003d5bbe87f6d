package yamledit

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	// plainShape holds the strings without any indicator character; what else may be plain is not worth the risk.
	plainShape = regexp.MustCompile(`^[A-Za-z0-9_/]([A-Za-z0-9_./:@+-]*[A-Za-z0-9_./@+-])?$`)
	// typed matches, without underscores, what YAML 1.1 or 1.2 readers take for null, a boolean, a number, a sexagesimal
	// number or a date.
	typed = regexp.MustCompile(`(?i)^(` + strings.Join([]string{
		``, `~`, `null`, `y`, `n`, `yes`, `no`, `on`, `off`, `true`, `false`,
		`[-+]?\.inf`, `\.nan`,
		`[-+]?0(x[0-9a-f]*|o[0-7]*|b[01]*)`,
		`[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]*)?`,
		`[-+]?[0-9]+(:[0-9]+)+(\.[0-9]*)?`,
		`[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(t.*)?`,
	}, `|`) + `)$`)
)

// IsPlain reports whether a value without quotes is the same string to every YAML reader.
func IsPlain(value string) bool {
	return plainShape.MatchString(value) && !typed.MatchString(strings.ReplaceAll(value, "_", ""))
}

// render writes a value in a quoting style, or in double quotes where that style would change its meaning.
func render(value string, style yaml.Style, flow bool) string {
	switch {
	case style&yaml.SingleQuotedStyle != 0 && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }):
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 && IsPlain(value) && !(flow && strings.Contains(value, ":")):
		return value
	}
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // a string can always be encoded, and every JSON string is a YAML one
	return strings.TrimSuffix(quoted.String(), "\n")
}
