package steps_test

import (
	"encoding/json"
	"os/exec"
	"syscall"
	"testing"

	"slipway/steps"
)

// TestAwaitApprovalAsksWhoeverSitsAtTheTerminal runs the real program at a pseudo-terminal.
func TestAwaitApprovalAsksWhoeverSitsAtTheTerminal(t *testing.T) {
	t.Parallel()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		keys              string
		code              int
		state, by, reason string
	}{
		"yes":    {"y\r", steps.ExitOK, "accepted", "lead", ""},
		"no":     {"n\rtoo slow\r", steps.ExitRejected, "rejected", "lead", "too slow"},
		"Ctrl-C": {ctrlC, steps.ExitInterrupt, "pending", "", ""},
		"Ctrl-D": {ctrlD, steps.ExitPending, "pending", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := "file:" + t.TempDir()
			term := newTerminal(t)
			term.cmd = exec.CommandContext(t.Context(), path, "await-approval", "--id", "shop", "--store", store, "--by", "lead", "--record", "none")
			term.cmd.Env = []string{"TERM=xterm", "HOME=" + t.TempDir()}
			term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = term.line, &term.stdout, term.line
			term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			term.must(term.cmd.Start())
			t.Cleanup(func() { _ = term.cmd.Process.Kill() })
			term.expect(`release +shop`)
			term.expect(`until .* silence accepts it`)
			term.expect(`answer +\d+:\d\d left   keep this release\? \[y/n\] _`)
			term.press(tt.keys)
			term.ends(tt.code)
			out, err := exec.CommandContext(t.Context(), path, "status", "shop", "--store", store).Output()
			var status struct {
				Details struct {
					Approvals []struct {
						State    string
						Decision struct{ By, Via, Reason string }
					}
				}
			}
			if err != nil || json.Unmarshal(out, &status) != nil || len(status.Details.Approvals) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			got := status.Details.Approvals[0]
			if got.State != tt.state || got.Decision.By != tt.by || got.Decision.Reason != tt.reason || (tt.by != "") != (got.Decision.Via == "terminal") {
				t.Errorf("%+v", got)
			}
		})
	}
}
