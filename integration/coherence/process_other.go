//go:build !unix

package coherence

import (
	"os/exec"
	"syscall"
)

func ownGroup(*exec.Cmd) {}

// Servers cannot be started here either, so that nothing comes to these signals.
const (
	sigPause  = syscall.Signal(-1)
	sigResume = syscall.Signal(-1)
)
