//go:build !unix

package server

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

const (
	sigKill      = syscall.Signal(9)
	sigTerminate = syscall.Signal(15)
	sigPause     = syscall.Signal(19)
	sigResume    = syscall.Signal(18)
	sigUser      = syscall.Signal(10)
	sigInterrupt = syscall.Signal(2)
)

func supported() error {
	return fmt.Errorf("server: starting servers on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func ownGroup(*exec.Cmd) {}

func signalProcess(int, syscall.Signal) error { return supported() }
