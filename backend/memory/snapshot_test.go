package memory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
)

func memoryOf(t *testing.T, s *backend.Store) *memory.Memory {
	t.Helper()
	var m *memory.Memory
	if !s.As(&m) {
		t.Fatal("As does not know *memory.Memory")
	}
	return m
}

func bodyOf(s *backend.Store, key string) string {
	_, body, _ := record.Parse(s.Get(context.Background(), key)[0].Record)
	return string(body)
}

func remove(s *backend.Store, key string) {
	s.Write(context.Background(), driver.Op{Key: key, Step: record.Step{Verb: record.Delete}})
}

func TestARestoredSnapshotIsWhatWasThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(nil)
		defer s.Close()
		m := memoryOf(t, s.Prefix("p")) // any view
		for i := range 1000 {
			add(t, s, fmt.Sprint(i), time.Hour, []byte("old"))
		}
		add(t, s, "short", time.Minute, []byte("old"))
		place(s, "fence", time.Hour)
		s.Count(t.Context(), "n", 7, time.Hour)
		weight := stat(t, s, "bytes")
		snapshot := m.Snapshot()

		for range 2 { // a snapshot can be put back many times
			remove(s, "1")
			add(t, s, "1", time.Hour, []byte("new"))
			add(t, s, "later", time.Hour, []byte("new"))
			remove(s, "2")
			s.Count(t.Context(), "n", 1, time.Hour)
			place(s, "3", time.Hour)
			if err := m.Restore(snapshot); err != nil {
				t.Fatal(err)
			}
			for i := range 1000 {
				if got := bodyOf(s, fmt.Sprint(i)); got != "old" {
					t.Fatalf("restored, %d is %q", i, got)
				}
			}
			if bodyOf(s, "later") != "" || s.Get(t.Context(), "fence")[0].Record == nil {
				t.Error("what came later is there, or the fence of then is not")
			}
			if n, _ := s.Count(t.Context(), "n", 0, time.Hour); n != 7 {
				t.Errorf("the counter is %d, want 7", n)
			}
			if got := stat(t, s, "bytes"); got != weight {
				t.Errorf("restored it weighs %d, was %d", got, weight)
			}
		}
		time.Sleep(2 * time.Minute)
		m.Restore(snapshot)
		if got := bodyOf(s, "short"); got != "" {
			t.Errorf("what had expired is back: %q", got)
		}
		if _, err := s.DeletePrefix(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if m.Lose(); stat(t, s, "bytes") != 0 || stat(t, s, "records") != 0 || stat(t, s, "counters") != 0 {
			t.Error("something is left after Lose")
		}
	})
}

func TestASnapshotThatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	large, small := setup(t, 1<<20), setup(t, memory.MinMaxBytes)
	for i := range 200 {
		add(t, large, fmt.Sprint(i), time.Hour, make([]byte, 1000))
	}
	add(t, small, "kept", time.Hour, []byte("kept"))
	if err := memoryOf(t, small).Restore(memoryOf(t, large).Snapshot()); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("Restore: %v, want ErrTooLarge", err)
	}
	if bodyOf(small, "kept") != "kept" {
		t.Error("a Restore that was refused changed something")
	}
	if err := memoryOf(t, large).Restore(memoryOf(t, small).Snapshot()); err != nil || bodyOf(large, "kept") != "kept" {
		t.Errorf("Restore of a smaller one: %v", err)
	}
}

// Writers move one unit between two keys of different shards, so a copy that is not of one moment has another sum.
func TestASnapshotIsOfOneMoment(t *testing.T) {
	t.Parallel()
	s := setup(t, 0)
	m := memoryOf(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for w := range 4 {
		busy.Go(func() { // ends with ctx, waited for below
			from, to := fmt.Sprint("a", w), fmt.Sprint("b", w)
			for ctx.Err() == nil {
				s.Count(t.Context(), from, 1, time.Hour) // from is at most one ahead of to
				s.Count(t.Context(), to, 1, time.Hour)
			}
		})
	}
	defer busy.Wait()
	defer cancel()
	other := setup(t, 0)
	for range 200 {
		if err := memoryOf(t, other).Restore(m.Snapshot()); err != nil {
			t.Fatal(err)
		}
		for w := range 4 {
			from, _ := other.Count(t.Context(), fmt.Sprint("a", w), 0, time.Hour)
			to, _ := other.Count(t.Context(), fmt.Sprint("b", w), 0, time.Hour)
			if ahead := from - to; ahead != 0 && ahead != 1 {
				t.Fatalf("one counter is %d ahead of the other, at most 1 at any moment", ahead)
			}
		}
	}
}

func TestHooksKnowOfLostDataBeforeAnyReply(t *testing.T) {
	t.Parallel()
	s, err := backend.Open(t.Context(), "memory://hooks")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := backend.Open(t.Context(), "memory://hooks")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var mu sync.Mutex
	var seen []string // guarded by mu
	s.OnServer(func(server, identity string) {
		mu.Lock()
		defer mu.Unlock()
		if seen = append(seen, identity); server != "memory://hooks" {
			t.Errorf("the hook was told of %q", server)
		}
	})
	identities := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
	add(t, s, "a", time.Hour, []byte("a"))
	m := memoryOf(t, other)
	snapshot := m.Snapshot()
	bodyOf(s, "a")
	if got := identities(); len(got) != 1 {
		t.Fatalf("identities %q, want one", got)
	}
	for name, call := range map[string]func(){
		"Get":   func() { bodyOf(s, "a") },
		"Write": func() { remove(s, "none") },
		"Count": func() { s.Count(t.Context(), "n", 1, time.Hour) },
		"Scan":  func() { s.Scan(t.Context(), "", func([]string) bool { return true }) },
		"Ping":  func() { s.Ping(t.Context()) },
	} {
		before := identities()
		m.Lose()
		if call(); len(identities()) != len(before)+1 {
			t.Errorf("%s after data was lost: identities %q, and before it %q", name, identities(), before)
		}
	}
	m.Restore(snapshot)
	bodyOf(s, "a")
	got := identities()
	if slices.Sort(got); len(got) != 7 || len(slices.Compact(got)) != 7 {
		t.Errorf("identities %q, want seven different ones", identities())
	}

	// Whoever finds nothing must know by then that it was lost, in the middle of a bulk read, too.
	keys := make([]string, 2000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	for range 10 {
		for _, key := range keys {
			add(t, s, key, time.Hour, nil)
		}
		before := len(identities())
		var reader sync.WaitGroup
		reader.Go(func() { // ends when it finds nothing, waited for below
			for {
				last := s.Get(context.Background(), keys...)[len(keys)-1]
				if last.Record == nil {
					break
				}
			}
			if len(identities()) == before {
				t.Error("a reader found nothing before the hook was called")
			}
		})
		m.Lose()
		reader.Wait()
	}
}

// The bound is of the heap, not of what callers gave.
func TestTheHeapStaysWithinTheBound(t *testing.T) { // not parallel: it measures the heap
	const bound = 4 << 20
	for _, size := range []int{0, 70, 1000, 5000, 40_000} {
		before := heap()
		s := memory.New(&memory.Options{MaxBytes: bound})
		for i := range 3 * bound / (size + 200) {
			add(t, s, fmt.Sprint("key:", i), time.Hour, make([]byte, size))
		}
		if taken := heap() - before; taken > bound*21/20 {
			t.Errorf("full of records of %d bytes it takes %d bytes, with a bound of %d", size, taken, bound)
		}
		s.Close()
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // for what the first one left to finalizers and pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
