//go:build !linux

package manifest

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }

func keepFiles() {}

// boundProcess leaves it to the garbage collector and to the watch over the heap's growth.
func boundProcess(int64) error { return nil }
