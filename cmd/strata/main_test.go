package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

// envMain makes the test binary be the program. Nodes of a demo inherit it.
const envMain = "STRATA_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		main()
	}
	servertest.Main(m)
}

// ended is a program's end.
type ended struct {
	code     int
	out, err string
}

// strata runs the program in a folder of its own, with standard input.
func strata(t *testing.T, dir, in string, env []string, args ...string) ended {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(in), &out, &errs
	cmd.Env = append(append(os.Environ(), envMain+"=1"), env...)
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	e := ended{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errs.String()}
	if strings.Contains(e.out+e.err, "hunter2") {
		t.Errorf("strata %q printed a password:\n%s%s", args, e.out, e.err)
	}
	if strings.Contains(e.err, "goroutine ") {
		t.Errorf("strata %q panicked:\n%s", args, e.err)
	}
	return e
}
