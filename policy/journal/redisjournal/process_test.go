//go:build unix

package redisjournal_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
)

// consumer is a process that has taken.
type consumer struct {
	cmd   *exec.Cmd
	in    func(string)
	lines *bufio.Scanner
}

func startConsumer(t *testing.T, url string, has int) *consumer {
	t.Helper()
	exe, err := os.Executable()
	servertest.Require(t, err)
	c := &consumer{cmd: exec.Command(exe)}
	c.cmd.Env = append(os.Environ(), envConsume+"="+url)
	in, err := c.cmd.StdinPipe()
	servertest.Require(t, err)
	out, err := c.cmd.StdoutPipe()
	servertest.Require(t, err)
	servertest.Require(t, c.cmd.Start())
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	c.in = func(line string) { fmt.Fprintln(in, line) }
	c.lines = bufio.NewScanner(out)
	c.says(t, fmt.Sprint("taken ", has))
	return c
}

func (c *consumer) says(t *testing.T, want string) {
	t.Helper()
	if !c.lines.Scan() || c.lines.Text() != want {
		t.Fatalf("the process says %q, want %q", c.lines.Text(), want)
	}
}

func TestWhatAKilledProcessHadOthersTakeOver(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	q := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{TakeOver: consumerTakeOver})
	const n = 300
	accept(t, q, sets(0, n)...)
	c := startConsumer(t, s.URL()+"?timeout=10s", n)
	began := time.Now()
	servertest.Require(t, c.cmd.Process.Kill())
	c.cmd.Wait()
	accept(t, q, set("key 7", "newer")) // while nobody has it
	found := map[string]bool{}
	for len(found) < n {
		for _, e := range take(t, q, 1) {
			if found[e.Key] {
				t.Errorf("%q came twice", e.Key)
			}
			found[e.Key] = true
			if want := map[bool]string{true: "newer", false: "value"}[e.Key == "key 7"]; string(e.Value) != want || e.Attempts != 2 {
				t.Errorf("%q has %q in attempt %d, want %q in the second", e.Key, e.Value, e.Attempts, want)
			}
			if err := q.Done(t.Context(), []journal.Entry{e}); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("all taken over %v after the kill, with a TakeOver of %v", time.Since(began), consumerTakeOver)
	if st, err := q.Stats(t.Context()); err != nil || st.Depth != 0 || st.Taken != 0 {
		t.Errorf("%+v %v", st, err)
	}
}

func TestAProcessThatWasStoppedChangesNothingOfWhatOthersTookOver(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	q := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{TakeOver: consumerTakeOver})
	accept(t, q, sets(0, 10)...)
	c := startConsumer(t, s.URL()+"?timeout=10s", 10)
	servertest.Require(t, c.cmd.Process.Signal(syscall.SIGSTOP))
	entries := take(t, q, 10)
	stop := make(chan struct{})
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		for {
			select {
			case <-stop:
				return
			case <-time.After(consumerTakeOver / 10):
				if err := q.Keep(t.Context(), entries); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	newer := accept(t, q, set("key 3", "newer"))
	servertest.Require(t, c.cmd.Process.Signal(syscall.SIGCONT))
	c.in("go on")
	c.says(t, "done")
	close(stop)
	<-kept
	if st, err := q.Stats(t.Context()); err != nil || st.Depth != 10 || st.Taken != 10 {
		t.Errorf("%+v %v, want all 10 with who took them over", st, err)
	}
	if err := q.Done(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	if e := take(t, q, 1); e[0].Position != newer {
		t.Errorf("%+v", e)
	}
}

func TestConsumersOfDeadProcessesAreForgotten(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	const list = "{strata-journal:queue}:list"
	names := func() string { return fmt.Sprint(command(t, s, "xinfo", "consumers", list, "workers")) }
	q := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{})
	accept(t, q, sets(0, 1)...)
	if err := q.Done(t.Context(), take(t, q, 1)); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	if !strings.Contains(names(), host) {
		t.Fatalf("%s: no consumer", names())
	}
	servertest.Require(t, q.Close())
	if strings.Contains(names(), host) {
		t.Errorf("%s: a closed queue has a consumer", names())
	}
}
