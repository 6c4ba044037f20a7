//go:build unix

package coherence

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a terminal's interrupt from the nodes, whose end is the coordinator's affair, and lets the system end a stopped one
// whose coordinator died.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

const (
	sigPause  = syscall.SIGSTOP
	sigResume = syscall.SIGCONT
)
