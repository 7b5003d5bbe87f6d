package steps_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"slipway/steps"
)

const manualPath = "../docs/slipway.1"

func TestManualIsCurrent(t *testing.T) {
	want := manual(steps.App())
	if *update {
		if err := os.WriteFile(manualPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manualPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/slipway.1 is not what the flags say; run go generate ./...\n%s", diff)
	}
}

func TestManualIsReadByGroff(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), groff, "-man", "-Tascii", "-P-cbou", "-ww", manualPath)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, stderr.Bytes())
	}
	for _, cmd := range steps.App().VisibleCommands() {
		if !strings.Contains(stdout.String(), "\n   slipway "+cmd.Name+"\n") {
			t.Errorf("the page as it is read has no heading for %s", cmd.Name)
		}
	}
}

// manual is what the reference says, as a page for man.
func manual(app *cli.App) string {
	m := &manPage{}
	m.line(`.TH SLIPWAY 1 "" slipway`)
	m.section("NAME")
	m.text(app.Name + " - " + app.Usage)
	m.section("SYNOPSIS")
	m.text(app.UsageText)
	m.section("DESCRIPTION")
	m.text("Each step is run by itself, and may be run again after any end. Every flag may be given as an environment variable instead: " +
		"SLIPWAY_ and its name in capitals. The command line wins over the variable, and an empty variable is as good as none.")
	m.section("STEPS")
	for _, cmd := range app.VisibleCommands() {
		m.line(".SS slipway " + escape(cmd.Name))
		m.text(strings.ToUpper(cmd.Usage[:1]) + cmd.Usage[1:] + ".")
		m.text(cmd.Description)
		m.flags(documented(cmd), false)
	}
	m.section("FLAGS OF ALL STEPS")
	m.text("The retry flags are there where a step talks to something remote.")
	m.flags(sharedFlags(app), true)
	m.section("EXIT STATUS")
	for _, row := range steps.ExitTable() {
		m.item(fmt.Sprintf("%d %s", row.Code, row.Name), row.Meaning+". The pipeline should: "+row.Pipeline+".")
	}
	m.section("ENVIRONMENT")
	m.text("Secrets have no flags. Each of these variables may instead be given with _FILE added to its name, holding the name of a file.")
	for _, variable := range steps.SecretVariables() {
		m.item(variable[0], variable[1]+".")
	}
	return m.String()
}

type manPage struct{ strings.Builder }

func (m *manPage) line(s string) { _, _ = fmt.Fprintln(m, s) }

func (m *manPage) section(name string) { m.line(".SH " + name) }

func (m *manPage) text(s string) {
	for paragraph := range strings.SplitSeq(s, "\n\n") {
		m.line(".PP\n" + escape(paragraph))
	}
}

func (m *manPage) item(name, text string) {
	m.line(".TP\n\\fB" + escape(name) + "\\fR\n" + escape(text))
}

func (m *manPage) flags(flags []documentedFlag, shared bool) {
	for _, f := range flags {
		if isShared(f) != shared {
			continue
		}
		text := f.GetUsage()
		if others := f.GetEnvVars()[1:]; len(others) > 0 {
			text += "; also " + strings.Join(others, ", ")
		}
		switch value := strings.Trim(f.GetDefaultText(), `"`); {
		case f.IsRequired():
			text += "; required"
		case f.TakesValue() && value != "":
			text += "; by default " + value
		}
		m.item("--"+f.Names()[0], text)
	}
}

var control = regexp.MustCompile(`(?m)^[.']`)

// escape keeps roff from seeing commands in a text. Its hyphen is typographic, and could not be copied into a shell.
func escape(s string) string {
	return control.ReplaceAllString(strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "'", `\(aq`).Replace(s), `\&$0`)
}
