package integration_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// Two members, each of which holds a copy of what the other owns.
func TestHazelcastLosesNothingButTimeWithOneOfTwoMembers(t *testing.T) {
	members := servertest.HazelcastCluster(t, 2, &server.HazelcastOptions{Backups: 1})
	url := members[0].URL() // one address is enough: the client learns of the other member
	store := openStore(t, url)
	identities := watch(t, store)
	eventually(t, "both members are known", func() bool { return memberCount(t, store) == 2 })

	t.Run("the kill of a member under load", func(t *testing.T) {
		l := startMapLoad(t, store)
		l.warmUp(t)
		l.mark()
		must(t, members[0].Kill())
		eventually(t, "all keys answer", l.quiet)
		t.Logf("a member killed: %s", l.outage())
		eventually(t, "the client knows that it is gone", func() bool { return memberCount(t, store) == 1 })
		l.mark()
		must(t, members[0].Restart(context.Background()))
		eventually(t, "it is a member again", func() bool { return memberCount(t, store) == 2 })
		eventually(t, "all keys answer", l.quiet)
		t.Logf("it joined again: %s", l.outage())
		l.stop(t)
	})

	t.Run("a rolling restart under load", func(t *testing.T) {
		l := startMapLoad(t, store)
		l.warmUp(t)
		for i, m := range members {
			l.mark()
			must(t, m.Stop()) // a member that is asked to stop hands over what it owns first
			must(t, m.Restart(context.Background()))
			eventually(t, "it is a member again", func() bool { return memberCount(t, store) == 2 })
			eventually(t, "all keys answer", l.quiet)
			t.Logf("member %d restarted in turn: %s", i, l.outage())
		}
		l.stop(t)
	})
	if got := identities(); len(got) != 1 {
		t.Errorf("the cluster has lost nothing, and had the identities %v", got)
	}

	t.Run("a restart of all members empties the map and changes the identity", func(t *testing.T) {
		b := recordOf(1, record.NewToken())
		eventually(t, "it has a record", func() bool { // whatever the restarts and a busy machine have left to time out
			return store.Write(t.Context(), addOf("everything", b))[0].Err == nil
		})
		for _, m := range members {
			must(t, m.Kill())
		}
		if r := store.Get(t.Context(), "everything")[0]; !errors.Is(r.Err, backend.ErrUnavailable) {
			t.Errorf("no member is there: %v, %v", r.Record, r.Err)
		}
		for _, m := range members {
			must(t, m.Restart(context.Background()))
		}
		up := time.Now()
		eventually(t, "the store recovers by itself", func() bool {
			r := store.Get(t.Context(), "everything")[0]
			if r.Record != nil {
				t.Fatalf("a record outlived all members: %x", r.Record)
			}
			return r.Err == nil
		})
		t.Logf("all members restarted: calls work %v after the last was up", time.Since(up).Round(time.Millisecond))
		if got := identities(); len(got) != 2 {
			t.Errorf("identities %v, want two", got)
		}
		eventually(t, "both members are known", func() bool { return memberCount(t, store) == 2 })
	})
}

// watch returns a function that tells the identities that the store has met since, without repetition.
func watch(t *testing.T, store *backend.Store) func() []string {
	var mu sync.Mutex
	var met []string
	must(t, store.OnServer(func(_, identity string) {
		mu.Lock()
		defer mu.Unlock()
		if len(met) == 0 || met[len(met)-1] != identity {
			met = append(met, identity)
		}
	}))
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return met
	}
}

func memberCount(t *testing.T, store *backend.Store) int {
	stats, err := store.Stats(t.Context())
	if err != nil {
		return 0
	}
	return len(stats) - 1 // and one entry for the cluster
}

func recordOf(n uint64, token record.Token) []byte {
	h := record.Header{Kind: record.Value, Token: token, Expiry: time.Now().Add(time.Hour)}
	return record.New(h, binary.BigEndian.AppendUint64(nil, n))
}

func numberOf(b []byte) uint64 {
	_, body, _ := record.Parse(b)
	return binary.BigEndian.Uint64(body)
}

func addOf(key string, b []byte) driver.Op {
	return driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: b, TTL: time.Hour}}
}

const (
	mapKeys     = 40 // of one writer each, over all partitions
	mapCounters = 4  // writers of the one counter
)

// A mapLoad writes and reads, and knows what it may see: at a key, the last acknowledged number or one that was tried since;
// at the counter, each number acknowledged to one writer alone.
type mapLoad struct {
	store *backend.Store
	run   string
	end   chan struct{}
	wg    sync.WaitGroup

	calls  atomic.Int64
	keys   [mapKeys + mapCounters]atomic.Int64 // unix nanoseconds of each writer's last success
	failed sync.Map                            // error text → true

	mu                 sync.Mutex // guards what follows
	since, first, last time.Time  // of the errors after mark
	errors             int
	slowest            time.Duration
	counted            map[uint64]int // number → how often it was acknowledged
	unknown            int            // counts whose outcome is unknown
}

func startMapLoad(t *testing.T, store *backend.Store) *mapLoad {
	l := &mapLoad{store: store, run: servertest.Key(t), end: make(chan struct{}), counted: map[uint64]int{}}
	l.mark()
	for i := range mapKeys {
		l.wg.Go(func() { l.own(t, i) }) // ends with l.end
	}
	for i := range mapCounters {
		l.wg.Go(func() { l.count(t, mapKeys+i) })
	}
	return l
}

func (l *mapLoad) each(i int, do func() error) {
	for {
		select {
		case <-l.end:
			return
		case <-time.After(5 * time.Millisecond): // a pace, so that members and checker share the machine
		}
		began := time.Now()
		err := do()
		l.calls.Add(1)
		l.mu.Lock()
		l.slowest = max(l.slowest, time.Since(began))
		if err != nil {
			l.errors++
			l.last = time.Now()
			if l.first.IsZero() {
				l.first = l.last
			}
			l.failed.Store(err.Error(), true)
		}
		l.mu.Unlock()
		if err == nil {
			l.keys[i].Store(time.Now().UnixNano())
		}
	}
}

// own writes rising numbers to a key that nobody else writes.
func (l *mapLoad) own(t *testing.T, i int) {
	key := fmt.Sprint(l.run, i)
	var acknowledged, tried uint64
	l.each(i, func() error {
		r := l.store.Get(t.Context(), key)[0]
		if r.Err != nil {
			return expected(t, r.Err)
		}
		var seen uint64
		if r.Record != nil {
			seen = numberOf(r.Record)
		}
		if seen < acknowledged || seen > tried {
			t.Errorf("key %d: read %d; acknowledged were %d, tried %d", i, seen, acknowledged, tried)
		}
		tried++
		b := recordOf(tried, record.NewToken())
		op := addOf(key, b)
		if r.Record != nil {
			op.Step = record.Step{Verb: record.Swap, Expect: record.TokenOf(r.Record), Record: b, TTL: time.Hour}
		}
		e := l.store.Write(t.Context(), op)[0]
		switch e.Outcome {
		case driver.Done:
			acknowledged = tried
		case driver.Refused: // an earlier one of unknown outcome came late
			if n := numberOf(e.Found); n >= tried || n < acknowledged {
				t.Errorf("key %d: refused by %d; acknowledged were %d, tried %d", i, n, acknowledged, tried)
			}
		}
		return expected(t, e.Err)
	})
}

// count adds one to a number that all counters share, by compare-and-swap.
func (l *mapLoad) count(t *testing.T, i int) {
	key := l.run + "counter"
	l.each(i, func() error {
		r := l.store.Get(t.Context(), key)[0]
		if r.Err != nil {
			return expected(t, r.Err)
		}
		next := uint64(1)
		op := addOf(key, nil)
		if r.Record != nil {
			next = numberOf(r.Record) + 1
			op.Step = record.Step{Verb: record.Swap, Expect: record.TokenOf(r.Record), TTL: time.Hour}
		}
		op.Record = recordOf(next, record.NewToken())
		e := l.store.Write(t.Context(), op)[0]
		l.mu.Lock()
		switch e.Outcome {
		case driver.Done:
			l.counted[next]++
		case driver.Unknown:
			l.unknown++
		}
		l.mu.Unlock()
		return expected(t, e.Err)
	})
}

func expected(t *testing.T, err error) error {
	if err != nil && !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("an error that is no outage: %v", err)
	}
	return err
}

func (l *mapLoad) warmUp(t *testing.T) {
	t.Helper()
	eventually(t, "the load runs", func() bool { return l.quiet() && l.calls.Load() > 20*mapKeys })
}

// quiet reports whether every writer succeeded since the last error.
func (l *mapLoad) quiet() bool {
	l.mu.Lock()
	last := l.since
	if l.errors > 0 {
		last = l.last
	}
	l.mu.Unlock()
	for i := range l.keys {
		if l.keys[i].Load() <= last.UnixNano() {
			return false
		}
	}
	return true
}

// mark begins an outage.
func (l *mapLoad) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.first, l.last, l.errors, l.slowest = time.Now(), time.Time{}, time.Time{}, 0, 0
}

func (l *mapLoad) outage() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.errors == 0 {
		return fmt.Sprintf("no error, the slowest call took %v", l.slowest.Round(time.Millisecond))
	}
	return fmt.Sprintf("%d errors, from %v to %v after it; the slowest call took %v", l.errors,
		l.first.Sub(l.since).Round(time.Millisecond), l.last.Sub(l.since).Round(time.Millisecond), l.slowest.Round(time.Millisecond))
}

func (l *mapLoad) stop(t *testing.T) {
	t.Helper()
	close(l.end)
	l.wg.Wait()
	l.failed.Range(func(text, _ any) bool { t.Logf("an error: %v", text); return true })
	done := 0
	for n, times := range l.counted {
		if done++; times != 1 {
			t.Errorf("the compare-and-swap to %d was acknowledged %d times", n, times)
		}
	}
	final := numberOf(l.store.Get(t.Context(), l.run+"counter")[0].Record)
	t.Logf("%d calls; the counter is %d: %d acknowledged, %d unknown", l.calls.Load(), final, done, l.unknown)
	if final < uint64(done) || final > uint64(done+l.unknown) {
		t.Errorf("the counter is %d after %d acknowledged and %d unknown", final, done, l.unknown)
	}
}
