package e2e_test

import (
	"strings"
	"testing"
)

func TestTheDoctorIsContentWithTheRecommendedRightsAndNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := tell(t, "doctor", setting{})
	doctor := []string{"doctor", "--repo", s.url, "--path", "deploy", "--app", s.name}
	s.succeeds(doctor...)
	for _, account := range []string{"reader", "stranger"} {
		s.token = token(t, account)
		if got := s.exits(9, doctor...); !strings.Contains(got.stderr, "permission denied") && !strings.Contains(got.stderr, "applications, sync") {
			t.Errorf("%s is not told what is missing", account)
		}
	}
	s.syncs(1)
}
