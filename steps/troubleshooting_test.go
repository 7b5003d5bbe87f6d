package steps_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slipway/steps"
)

const troubleshootingPath = "../docs/troubleshooting.md"

func TestTroubleshootingHasEveryFailure(t *testing.T) {
	page := readTroubleshooting(t)
	sources := readSources(t, ".", "../retry")
	if len(sources.failures) < 200 {
		t.Fatalf("%d failures were found in the sources, which cannot be all", len(sources.failures))
	}
	for _, f := range sources.failures {
		exits, found := page[f.text]
		switch {
		case !found:
			t.Errorf("%s: the page has no row for it: | `%s` | %s | why, and what to do |", f.position, f.text, f.exit)
		case f.exit != "" && !slices.Contains(exits, f.exit):
			t.Errorf("%s: exit %s is not in the row of `%s`, which has %v", f.position, f.exit, f.text, exits)
		}
	}
}

func TestTroubleshootingQuotesTheSources(t *testing.T) {
	sources := readSources(t, ".", "../retry")
	for text := range readTroubleshooting(t) {
		if !slices.ContainsFunc(sources.texts, func(s string) bool { return strings.Contains(s, text) }) {
			t.Errorf("nothing in the sources says `%s`", text)
		}
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

// readTroubleshooting returns the messages that the page explains, with the exit codes of their rows. They stand in the first
// column of the tables whose heading is "it says".
func readTroubleshooting(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(troubleshootingPath)
	if err != nil {
		t.Fatal(err)
	}
	page, inTable := map[string][]string{}, false
	for line := range strings.Lines(strings.ReplaceAll(string(text), `\|`, "\x00")) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			inTable = false
			continue
		}
		if strings.TrimSpace(cells[1]) == "it says" {
			inTable = true
		}
		if !inTable {
			continue
		}
		for _, message := range quoted.FindAllStringSubmatch(cells[1], -1) {
			text := strings.ReplaceAll(message[1], "\x00", "|")
			page[text] = append(page[text], strings.Split(strings.TrimSpace(cells[2]), ", ")...)
		}
	}
	return page
}

// failed is a failure that a user may meet: the text that is always in it, and the exit code where the sources say it.
type failed struct{ text, exit, position string }

// sources are what is said in some directories.
type sources struct {
	failures []failed
	texts    []string // all strings, with … for what is filled in
}

func readSources(t *testing.T, dirs ...string) sources {
	t.Helper()
	var all sources
	fset := token.NewFileSet()
	packages := map[string][]*ast.File{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			packages[filepath.Dir(name)] = append(packages[filepath.Dir(name)], file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, files := range packages {
		p := pkg{fset: fset, named: names{}, wrappers: map[string]*ast.FuncDecl{}, into: &all}
		p.read(files)
	}
	return all
}

// pkg looks for failures in one package.
type pkg struct {
	fset     *token.FileSet
	named    names                    // constants and variables of the package
	wrappers map[string]*ast.FuncDecl // functions that pass a format on to failure.New
	into     *sources
}

func (p *pkg) read(files []*ast.File) {
	for _, file := range files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.GenDecl:
				assigned(d, p.named)
			case *ast.FuncDecl:
				if parameter(d, "format") >= 0 && len(callsOf(d, "New")) > 0 {
					p.wrappers[d.Name.Name] = d
				}
			}
		}
	}
	for name, values := range p.named {
		if call, ok := values[0].(*ast.CallExpr); ok && strings.HasPrefix(name, "Err") && calls(call, "errors", "New") {
			p.add(call, "", text(call.Args[0], p.named), "")
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			p.declaration(decl)
		}
	}
}

func (p *pkg) declaration(decl ast.Decl) {
	named := names{}
	assigned(decl, named)
	for name, values := range p.named {
		if named[name] == nil {
			named[name] = values
		}
	}
	function, _ := decl.(*ast.FuncDecl)
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			p.into.texts = append(p.into.texts, text(n, named))
		case *ast.BasicLit:
			p.into.texts = append(p.into.texts, text(n, named))
		case *ast.CompositeLit:
			if isSelector(n.Type, "failure", "Error") {
				p.add(n, kindIn(field(n, "Kind")), "", text(field(n, "Hint"), named))
			}
		case *ast.CallExpr:
			switch wrapper := p.wrappers[called(n)]; {
			case wrapper != nil:
				p.wrapped(n, wrapper, named)
			case calls(n, "failure", "New") && (function == nil || p.wrappers[function.Name.Name] != function):
				p.add(n, kindIn(n.Args[0]), text(n.Args[2], named), text(n.Args[1], named))
			}
		}
		return true
	})
}

// wrapped adds a call of a function that passes its format on to failure.New, and maybe the kind and the hint.
func (p *pkg) wrapped(call *ast.CallExpr, wrapper *ast.FuncDecl, named names) {
	inner := callsOf(wrapper, "New")[0]
	pick := func(name string, otherwise ast.Expr) ast.Expr {
		if i := parameter(wrapper, name); i >= 0 {
			return call.Args[i]
		}
		return otherwise
	}
	p.add(call, kindIn(pick("kind", inner.Args[0])), text(pick("format", nil), named), text(pick("hint", inner.Args[1]), named))
}

var (
	letters = regexp.MustCompile(`\pL`)
	// leading is the name of what was worked on.
	leading = regexp.MustCompile(`^((… )*…+:\s*)+`)
)

// add takes a message that has a few words of its own, or else the hint that stands below it.
func (p *pkg) add(at ast.Node, kind, message, hint string) {
	message = leading.ReplaceAllString(message, "")
	if len(letters.FindAllString(message, -1)) < 6 {
		message = hint
	}
	if strings.Trim(message, "… :;,") == "" {
		return // all of it comes from elsewhere
	}
	p.into.failures = append(p.into.failures, failed{message, exitOf(kind), p.fset.Position(at.Pos()).String()})
}

func exitOf(kind string) string {
	for _, row := range steps.ExitTable() {
		if strings.EqualFold(row.Name, kind) {
			return strconv.Itoa(row.Code)
		}
	}
	return ""
}

var verbs = regexp.MustCompile(`%[-+# 0]*[0-9.]*[a-zA-Z]`)

// text is a string expression as a user meets it, with … for whatever is not known here.
func text(e ast.Expr, named names) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return strings.ReplaceAll(verbs.ReplaceAllString(s, "…"), "%%", "%")
		}
	case *ast.BinaryExpr:
		return text(e.X, named) + text(e.Y, named)
	case *ast.ParenExpr:
		return text(e.X, named)
	case *ast.Ident:
		if value := named.before(e); value != nil {
			return text(value, nil)
		}
	}
	return "…"
}

// names are the values that names have been given, in the order of the text.
type names map[string][]ast.Expr

// before returns the value that was given last before a use, or nil. What is declared for a package may stand behind its use.
func (n names) before(use *ast.Ident) ast.Expr {
	var last ast.Expr
	for _, value := range n[use.Name] {
		if last == nil || value.Pos() < use.Pos() {
			last = value
		}
	}
	return last
}

func assigned(in ast.Node, into names) {
	set := func(name ast.Expr, value ast.Expr) {
		if id, ok := name.(*ast.Ident); ok {
			into[id.Name] = append(into[id.Name], value)
		}
	}
	ast.Inspect(in, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, value := range n.Values {
				set(n.Names[i], value)
			}
		case *ast.AssignStmt:
			for i, value := range n.Rhs {
				if n.Tok == token.DEFINE && len(n.Lhs) == len(n.Rhs) {
					set(n.Lhs[i], value)
				}
			}
		}
		return true
	})
}

func isSelector(e ast.Expr, of, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == name && fmt.Sprint(s.X) == of
}

func calls(call *ast.CallExpr, of, name string) bool { return isSelector(call.Fun, of, name) }

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

func callsOf(in ast.Node, name string) []*ast.CallExpr {
	var found []*ast.CallExpr
	ast.Inspect(in, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && calls(call, "failure", name) {
			found = append(found, call)
		}
		return true
	})
	return found
}

// parameter returns the place of a parameter, or -1.
func parameter(f *ast.FuncDecl, name string) int {
	i := 0
	for _, field := range f.Type.Params.List {
		for _, id := range field.Names {
			if id.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}

func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, element := range lit.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok && fmt.Sprint(pair.Key) == name {
			return pair.Value
		}
	}
	return nil
}

func kindIn(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "failure" {
		return s.Sel.Name
	}
	return ""
}
