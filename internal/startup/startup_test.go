package startup_test

import (
	"cmp"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"slipway/internal/startup"
)

func percent() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func TestTheFirstCollectionIsPutOffAndLaterOnesAreNot(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(100)
	startup.Done()
	if got := percent(); got != 600 {
		t.Errorf("before the first collection GOGC is %d, not 600", got)
	}
	runtime.GC()
	for deadline := time.Now().Add(10 * time.Second); percent() != 200; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("after the first collection GOGC is %d, not 200", percent())
		}
	}
}

func TestGOGCIsObeyed(t *testing.T) {
	before := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(before)
	want := cmp.Or(os.Getenv("GOGC"), "100") // as when the process started
	t.Setenv("GOGC", want)
	startup.Done()
	if got := strconv.FormatUint(percent(), 10); got != want {
		t.Errorf("GOGC is %s, not %s", got, want)
	}
}
