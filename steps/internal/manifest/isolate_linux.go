package manifest

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// attributes makes the child end with this process, and keeps a terminal's signals from it: this process says what they
// mean.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// keepFiles keeps from children what this process inherited itself; Go does so with the files that it opens.
func keepFiles() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// boundProcess limits the private memory. Before Linux 4.7 that limit does not count what Go takes: there the address space
// is the bound, of which Go takes 64 MiB at a time.
func boundProcess(memory int64) error {
	const piece = 64 << 20
	var size, resident, shared, text, libraries, data int64
	statm, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(statm), &size, &resident, &shared, &text, &libraries, &data)
	}
	if err != nil {
		return err
	}
	page := int64(os.Getpagesize())
	if err := lower(syscall.RLIMIT_DATA, data*page+memory); err != nil {
		return err
	}
	return lower(syscall.RLIMIT_AS, size*page+memory+piece)
}

func lower(resource int, most int64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(resource, &limit); err != nil {
		return err
	}
	limit.Max = min(limit.Max, uint64(most))
	limit.Cur = min(limit.Cur, limit.Max)
	return syscall.Setrlimit(resource, &limit)
}
