//go:build unix

package filejournal_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
)

// child tells a process of this test what to do.
const child = "STRATA_FILEJOURNAL_CHILD"

// TestChild is the process that the test below kills. It writes, takes and says done until then, and tells of each what became of it.
func TestChild(t *testing.T) {
	path := os.Getenv(child)
	if path == "" {
		t.Skip("see TestAKilledProcessLosesNothing")
	}
	var o filejournal.Options
	if os.Getenv(child+"_SYNC") == "interval" {
		o = filejournal.Options{Sync: filejournal.Interval, Interval: 10 * time.Millisecond}
	}
	q, err := open(t, path, &o).Open("q", (*journal.Options)(nil).WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	tell := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
		out.Flush()
	}
	tell("begin")
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("key-%d-%d", i, n%20)
				r := q.Append(t.Context(), time.Minute, []journal.Write{{Key: key, Value: make([]byte, n%3000), ID: journal.NewID()}})[0]
				if r.Err != nil {
					t.Error(r.Err)
					return
				}
				tell("accepted %s %d", key, r.Position)
			}
		})
	}
	for {
		entries, err := q.Take(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			tell("source %s %d", e.Key, e.Position) // what the source has, before the journal is told
		}
		if err := q.Done(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
	}
}

// A ledger is what a child has told, for each key.
type ledger struct {
	accepted, source map[string]journal.Position
}

// run runs a child until it is killed.
func (l *ledger) run(t *testing.T, path, sync string, kill time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), child+"="+path, child+"_SYNC="+sync)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if first, err := lines.ReadString('\n'); first != "begin\n" {
		rest, _ := io.ReadAll(lines)
		cmd.Wait()
		t.Fatalf("the process did not begin: %v\n%s%s", err, first, rest)
	}
	timer := time.AfterFunc(kill, func() { cmd.Process.Kill() })
	defer timer.Stop()
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // what is cut off was not told
			break
		}
		var what, key string
		var at journal.Position
		if _, err := fmt.Sscan(line, &what, &key, &at); err != nil {
			t.Fatalf("the process says %q", line)
		}
		switch what {
		case "accepted":
			l.accepted[key] = max(l.accepted[key], at)
		case "source":
			if at < l.source[key] {
				t.Errorf("%s: the source gets position %d after %d", key, at, l.source[key])
			}
			l.source[key] = at
		}
	}
	cmd.Wait()
}

func TestAKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	for _, sync := range []string{"always", "interval"} {
		t.Run(sync, func(t *testing.T) {
			t.Parallel()
			killed(t, sync)
		})
	}
}

func killed(t *testing.T, sync string) {
	path := filepath.Join(t.TempDir(), "journal")
	l := ledger{map[string]journal.Position{}, map[string]journal.Position{}}
	kills := 20
	if testing.Short() {
		kills = 5
	}
	for range kills {
		l.run(t, path, sync, time.Duration(rand.IntN(60_000))*time.Microsecond)
		if t.Failed() {
			return
		}
	}
	j := open(t, path, nil)
	defer j.Close()
	q, err := j.Open("q", (*journal.Options)(nil).WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	pending := 0
	if err := q.List(t.Context(), func(e journal.Entry) bool {
		l.source[e.Key] = max(l.source[e.Key], e.Position) // it would have it soon
		pending++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for key, at := range l.accepted {
		if l.source[key] < at {
			t.Errorf("%s: position %d was accepted, and the source would have %d", key, at, l.source[key])
		}
	}
	if len(l.accepted) == 0 {
		t.Error("nothing was accepted")
	}
	t.Logf("%d kills, %d keys, %d of them pending", kills, len(l.accepted), pending)
}

// TestFull is the process that has no room on the disk.
func TestFull(t *testing.T) {
	path := os.Getenv(child + "_FULL")
	if path == "" {
		t.Skip("see TestAFullDiskRefusesAndLosesNothing")
	}
	limit(t, 4<<20)
	var o filejournal.Options
	if os.Getenv(child+"_SYNC") == "interval" {
		o = filejournal.Options{Sync: filejournal.Interval, Interval: 20 * time.Millisecond}
	}
	j := open(t, path, &o)
	q, err := j.Open("q", (*journal.Options)(nil).WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(map[string]journal.Position)
	refused := 0
	for i := 0; refused < 5; i++ {
		key := fmt.Sprintf("key %d", i)
		r := q.Append(t.Context(), time.Minute, []journal.Write{{Key: key, Value: make([]byte, 10_000), ID: journal.NewID()}})[0]
		if r.Err == nil {
			accepted[key] = r.Position
			continue
		}
		if refused++; !isRefused(r.Err) {
			t.Fatalf("a full disk: %v", r.Err)
		}
	}
	if len(accepted) < 20 {
		t.Fatalf("%d accepted", len(accepted))
	}
	check := func(q journal.Queue, want int) {
		n := 0
		if err := q.List(context.Background(), func(e journal.Entry) bool {
			n++
			if accepted[e.Key] != e.Position {
				t.Errorf("%s is pending at %d, and was accepted at %d", e.Key, e.Position, accepted[e.Key])
			}
			return true
		}); err != nil || n != want {
			t.Errorf("%d pending, want %d: %v", n, want, err)
		}
	}
	check(q, len(accepted))
	// What is done makes room, without which nothing could go on.
	n := 10
	if o.Sync == filejournal.Interval {
		n = len(accepted) // what the tail holds may need all the room
	}
	entries, err := q.Take(t.Context(), n)
	if err == nil {
		err = q.Done(t.Context(), entries)
	}
	if err != nil {
		t.Fatalf("Done on a full disk: %v", err)
	}
	for i := range 3 {
		key := fmt.Sprintf("later %d", i)
		r := q.Append(t.Context(), time.Minute, []journal.Write{{Key: key, Value: make([]byte, 10_000), ID: journal.NewID()}})[0]
		if r.Err != nil {
			t.Fatalf("when there is room again: %v", r.Err)
		}
		accepted[key] = r.Position
	}
	want := len(accepted) - len(entries)
	check(q, want)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path, nil)
	defer j.Close()
	if q, err = j.Open("q", (*journal.Options)(nil).WithDefaults()); err != nil {
		t.Fatal(err)
	}
	check(q, want)
}

func TestAFullDiskRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, sync := range []string{"always", "interval"} {
		t.Run(sync, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFull$", "-test.v")
			cmd.Env = append(os.Environ(), child+"_FULL="+filepath.Join(t.TempDir(), "journal"), child+"_SYNC="+sync)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestFull") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
