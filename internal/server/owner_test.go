//go:build unix

package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
)

func TestAServerDoesNotOutliveAKilledOwner(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, kind, pause string }{
		{"redis", "redis", ""},
		{"redis that is paused", "redis", "1"},
		{"memcached", "memcached", ""},
		{"hazelcast", "hazelcast", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			owner, pid := startOwner(t, tc.kind, tc.pause, tmp)
			if left := folders(t, tmp); len(left) != 1 {
				t.Fatalf("the running server has folders %v, want one", left)
			}
			if err := owner.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = owner.Wait() // reports the kill
			eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool { return !alive(pid) })
			eventually(t, "the folder is gone", func() bool { return len(folders(t, tmp)) == 0 })
		})
	}
}

// startOwner runs this test binary again as the owner of a server, whose pid it returns.
func startOwner(t *testing.T, kind, pause, tmp string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envOwner+"="+kind, envOwner+"_PAUSE="+pause, "TMPDIR="+tmp)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	pid := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "pid":
			if _, err := fmt.Sscan(rest, &pid); err != nil {
				t.Fatal(err)
			}
		case "ready":
			return cmd, pid
		case "error":
			skipOrFail(t, rest)
		}
	}
	t.Fatal("the owner ended before its server was ready")
	return nil, 0
}

// skipOrFail treats a message from the owner as servertest.Require treats the error that it was.
func skipOrFail(t *testing.T, message string) {
	t.Helper()
	if strings.Contains(message, "scripts/setup") && os.Getenv(servertest.EnvRequire) != "1" {
		t.Skip(message)
	}
	t.Fatal(message)
}

func folders(t *testing.T, tmp string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(tmp, "strata-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// alive reports whether a process runs. One that ended and whose new parent has not asked for its status yet (a zombie)
// is gone for every purpose but that.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // no such file system: the signal's word stands
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// eventually polls until cond holds, for at most ten seconds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not after ten seconds: %s", what)
		}
	}
}
