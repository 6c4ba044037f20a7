//go:build unix

package server

import (
	"os/exec"
	"syscall"
)

const (
	sigKill      = syscall.SIGKILL
	sigTerminate = syscall.SIGTERM
	sigPause     = syscall.SIGSTOP
	sigResume    = syscall.SIGCONT
	sigUser      = syscall.SIGUSR1
	sigInterrupt = syscall.SIGINT
)

func supported() error { return nil }

// ownGroup puts the supervisor into its own process group: a Ctrl-C for the owner is not one for the servers, which the
// owner stops in order, and the guard can kill the whole group without knowing its members.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func signalProcess(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }
