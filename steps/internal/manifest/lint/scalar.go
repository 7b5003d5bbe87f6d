package lint

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// oneOf checks a string that is one of a few constants, where it is given.
func (c *check) oneOf(rule string, v value, allowed ...string) {
	s, ok := v.v.(string)
	if !ok || slices.Contains(allowed, s) || s == "" {
		return
	}
	fix := "use " + strings.Join(allowed, " or ")
	for _, name := range allowed {
		if strings.EqualFold(name, s) {
			fix = "write " + name
		}
	}
	c.add(rule, v, fix, "must be one of %s, found %q", strings.Join(allowed, ", "), s)
}

func (c *check) atLeast(rule string, v value, low int64) {
	if n, ok := v.integer(); ok && n < low {
		c.add(rule, v, "use "+strconv.FormatInt(low, 10)+" or more", "must be at least %d, found %d", low, n)
	}
}

func (c *check) atMost(rule string, v value, high int64) {
	if n, ok := v.integer(); ok && n > high {
		c.add(rule, v, "use "+strconv.FormatInt(high, 10)+" or less", "must be at most %d, found %d", high, n)
	}
}

// notEmpty checks a value that the schema asks for, and takes when it is empty.
func (c *check) notEmpty(rule string, v value, fix string) {
	if v.v == "" {
		c.add(rule, v, fix, "cannot be empty")
	}
}

// required checks a value that the schema does not ask for.
func (c *check) required(rule string, v value, fix string) bool {
	if v.v == nil || v.v == "" {
		c.add(rule, v, fix, "required value is missing")
		return false
	}
	return true
}

// grammar checks a string, where it is given, with one of Kubernetes' own predicates.
func (c *check) grammar(rule string, v value, is func(string) []string) {
	s, ok := v.v.(string)
	if !ok || s == "" {
		return
	}
	messages := is(s)
	if len(messages) == 0 {
		return
	}
	fix := "rename it: " + allowed(messages[0])
	if name := repaired(s, is); name != "" && (rule == "name" || rule == "namespace") {
		fix = "rename it, for instance to " + name
	}
	c.add(rule, v, fix, "%q: %s", s, summary(messages))
}

// repaired returns a name like s that fits, or "".
func repaired(s string, is func(string) []string) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(s)), "-.")
	for _, candidate := range []string{name, strings.ReplaceAll(name, ".", "-")} {
		if len(is(candidate)) == 0 {
			return candidate
		}
	}
	return ""
}

// summary cuts the examples and expressions off Kubernetes' messages.
func summary(messages []string) string {
	short := make([]string, len(messages))
	for i, message := range messages {
		short[i], _, _ = strings.Cut(message, " (e.g.")
	}
	return strings.Join(short, "; ")
}

// allowed turns Kubernetes' message into advice: its first example, which stands in "(e.g. 'example'", or what it says.
func allowed(message string) string {
	if _, examples, ok := strings.Cut(message, "(e.g. "); ok {
		if parts := strings.SplitN(examples, "'", 3); len(parts) == 3 {
			return "it looks like " + strings.TrimSpace(parts[1])
		}
	}
	return "it " + message
}

func isDNS1123Label(s string) []string     { return validation.IsDNS1123Label(s) }
func isDNS1123Subdomain(s string) []string { return validation.IsDNS1123Subdomain(s) }

// port checks the number of a port.
func (c *check) port(v value) {
	if n, ok := v.integer(); ok && (n < 1 || n > 65535) {
		c.add("port", v, "use a port from 1 to 65535", "port %d is out of range", n)
	}
}

// portOrName checks a port that may be given by its name.
func (c *check) portOrName(v value) {
	c.port(v)
	c.grammar("port", v, validation.IsValidPortName)
}

// quantity returns the quantity at v; what does not parse is the schema's finding.
func quantity(v value) (resource.Quantity, bool) {
	switch n := v.v.(type) {
	case string:
		q, err := resource.ParseQuantity(n)
		return q, err == nil
	case float64:
		q, err := resource.ParseQuantity(strconv.FormatFloat(n, 'f', -1, 64))
		return q, err == nil
	default:
		i, ok := v.integer()
		return *resource.NewQuantity(i, resource.DecimalSI), ok
	}
}

// labels checks keys and values of labels, or of a selector.
func (c *check) labels(rule string, v value) {
	for _, key := range slices.Sorted(maps.Keys(v.fields())) {
		at := v.get(key)
		c.key(rule, at, key)
		if s, ok := at.v.(string); ok {
			if messages := validation.IsValidLabelValue(s); len(messages) > 0 {
				c.add(rule, at, "use letters, digits, '-', '_' and '.', at most 63, beginning and ending with a letter or digit",
					"label value %q: %s", s, summary(messages))
			}
		}
	}
}

func (c *check) key(rule string, at value, key string) {
	if messages := validation.IsQualifiedName(key); len(messages) > 0 {
		c.add(rule, at, "use a key like app.kubernetes.io/name: an optional domain, a slash, a name of at most 63", "key %q: %s", key, summary(messages))
	}
}

// unique reports the second of two items that have the same key; empty keys are nobody's twins.
func (c *check) unique(rule, what string, items []value, key func(value) string, at func(value) value) {
	seen := map[string]value{}
	for _, item := range items {
		k := key(item)
		if k == "" {
			continue
		}
		if first, twice := seen[k]; twice {
			c.add(rule, at(item), "remove or rename one of the two", "duplicate %s %q, already at %s", what, k, first.path())
			continue
		}
		seen[k] = at(item)
	}
}

func (c *check) uniqueNames(rule, what string, items []value) {
	name := func(v value) value { return v.get("name") }
	c.unique(rule, what, items, func(v value) string { return name(v).text() }, name)
}

// given returns which of the fields of v are there.
func (v value) given(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !v.get(name).exists() })
}

// exactlyOne checks that one, and only one, of the fields of v is there.
func (c *check) exactlyOne(rule string, v value, names ...string) {
	switch given := v.given(names...); len(given) {
	case 0:
		c.add(rule, v, "add one of "+strings.Join(names, ", "), "needs one of %s", strings.Join(names, ", "))
	case 1:
	default:
		c.add(rule, v.get(given[1]), "keep one of "+strings.Join(given, ", "), "cannot be beside %s", given[0])
	}
}

// intOrPercent checks a count, or a percentage of at most a hundred.
func (c *check) intOrPercent(rule string, v value) {
	if s, ok := v.v.(string); ok {
		percent, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
		if err != nil || !strings.HasSuffix(s, "%") || percent < 0 || percent > 100 {
			c.add(rule, v, "use a number, or a percentage from 0% to 100%", "%q is neither a number nor a percentage", s)
		}
		return
	}
	c.atLeast(rule, v, 0)
}
