package e2e

import "testing"

func TestAReleaseEndsWhenTheClusterRunsIt(t *testing.T) {
	t.Parallel()
	for name, automated := range map[string]bool{"manual": false, "automated": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, name, setting{automated: automated})
			first := s.succeeds(s.release("v2")...)
			s.runs("v2")
			if app := first.Details.Sync.Applications[0]; first.Outcome != "changed" || app.Sync != "Synced" || app.Health != "Healthy" {
				t.Errorf("reported %+v", first)
			}
			if again := s.succeeds(s.release("v2")...); again.Outcome != "unchanged" {
				t.Errorf("run again it was %s", again.Outcome)
			}
			s.syncs(2)
		})
	}
}
