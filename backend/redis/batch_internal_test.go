package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/servertest"
)

// A wire is a fetch whose calls the test lets return.
type wire struct {
	mu    sync.Mutex
	sent  [][]string
	reply chan error // one for each call
}

func (w *wire) fetch(ctx context.Context, keys []string) []driver.Result {
	w.mu.Lock()
	w.sent = append(w.sent, keys)
	w.mu.Unlock()
	var err error
	select {
	case err = <-w.reply:
	case <-ctx.Done():
		err = ctx.Err()
	}
	found := make([]driver.Result, len(keys))
	for i, k := range keys {
		if found[i].Err = err; err == nil {
			found[i].Record = []byte(k)
		}
	}
	return found
}

func TestReadsThatWaitTravelTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{reply: make(chan error)}
		b := newBatcher(w.fetch, time.Second, false)
		defer b.close()
		var readers sync.WaitGroup
		read := func(key string) {
			readers.Go(func() {
				got, err := b.get(t.Context(), key)
				if err != nil || string(got) != key {
					t.Errorf("get %q: %q, %v", key, got, err)
				}
				if len(got) > 0 {
					got[0] = 'X' // must be nobody else's
				}
			})
			synctest.Wait()
		}
		read("a")
		read("b")
		if len(w.sent) != flights {
			t.Fatalf("sent %v, want two reads alone", w.sent)
		}
		for _, key := range []string{"c", "d", "c", "e"} {
			read(key)
		}
		if len(w.sent) != flights {
			t.Fatalf("sent %v while two reads are under way", w.sent)
		}
		w.reply <- nil
		synctest.Wait()
		if got := fmt.Sprint(w.sent[2:]); got != "[[c d e]]" {
			t.Fatalf("sent %v, want one batch of distinct keys", got)
		}
		read("f") // the batch has left: f may not join it
		w.reply <- nil
		w.reply <- nil
		synctest.Wait()
		if got := fmt.Sprint(w.sent[3:]); got != "[[f]]" {
			t.Fatalf("sent %v", got)
		}
		w.reply <- nil
		readers.Wait()
	})
}

func TestACallerLeavesABatchAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{reply: make(chan error)}
		b := newBatcher(w.fetch, time.Second, false)
		defer b.close()
		var readers sync.WaitGroup
		get := func(ctx context.Context, key string, want error) {
			readers.Go(func() {
				if _, err := b.get(ctx, key); !errors.Is(err, want) {
					t.Errorf("get %q: %v, want %v", key, err, want)
				}
			})
			synctest.Wait()
		}
		get(t.Context(), "a", nil)
		get(t.Context(), "b", nil)
		early, leaveEarly := context.WithCancel(t.Context())
		late, leaveLate := context.WithCancel(t.Context())
		get(early, "early", context.Canceled)
		get(late, "late", context.Canceled)
		get(t.Context(), "stays", nil)
		leaveEarly()
		synctest.Wait()
		w.reply <- nil
		synctest.Wait()
		if got := fmt.Sprint(w.sent[2:]); got != "[[late stays]]" {
			t.Errorf("sent %v: who left before it was sent is not asked for", got)
		}
		leaveLate()
		synctest.Wait()
		w.reply <- nil
		w.reply <- nil
		readers.Wait()
	})
}

func TestAReadWaitsNoLongerThanTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{reply: make(chan error)}
		b := newBatcher(w.fetch, time.Second, false)
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range flights {
			readers.Go(func() { _, _ = b.get(ctx, "stuck") })
		}
		synctest.Wait()
		begin := time.Now()
		if _, err := b.get(t.Context(), "x"); !errors.Is(err, sentinel.ErrUnavailable) || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		readers.Go(func() { _, _ = b.get(t.Context(), "later") })
		synctest.Wait()
		cancel()
		synctest.Wait()
		if got := fmt.Sprint(w.sent[flights:]); got != "[[later]]" {
			t.Errorf("sent %v: what nobody waits for any more is not asked for", got)
		}
		w.reply <- nil
		readers.Wait()
		b.close()
		if _, err := b.get(t.Context(), "x"); !errors.Is(err, sentinel.ErrClosed) {
			t.Errorf("after close: %v", err)
		}
		b.close()
	})
}

func TestCloseEndsAllWorkersThoughTheQueueWasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{reply: make(chan error)}
		b := newBatcher(w.fetch, time.Second, false)
		var readers sync.WaitGroup
		for range flights {
			readers.Go(func() { _, _ = b.get(t.Context(), "under way") })
		}
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		readers.Go(func() { _, _ = b.get(ctx, "left") })
		synctest.Wait()
		closed := make(chan struct{})
		go func() { defer close(closed); b.close() }()
		synctest.Wait() // all workers look and find all flights taken
		leave()
		synctest.Wait()
		for range flights {
			w.reply <- nil
			synctest.Wait()
		}
		readers.Wait()
		<-closed // a worker that sleeps on is a deadlock, which synctest reports
	})
}

func TestAServerErrorReachesAllOfABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{reply: make(chan error)}
		b := newBatcher(w.fetch, time.Second, false)
		defer b.close()
		var failed atomic.Int32
		var readers sync.WaitGroup
		for i := range 10 {
			readers.Go(func() {
				if _, err := b.get(t.Context(), strconv.Itoa(i)); errors.Is(err, sentinel.ErrUnavailable) {
					failed.Add(1)
				}
			})
		}
		synctest.Wait()
		for range flights + 1 {
			w.reply <- sentinel.ErrUnavailable
			synctest.Wait()
		}
		readers.Wait()
		if failed.Load() != 10 {
			t.Errorf("%d of 10 reads saw the error", failed.Load())
		}
	})
}

// commands returns how often the server ran each of the named commands.
func commands(t testing.TB, d *store, names ...string) int {
	t.Helper()
	text, err := d.conn.Client().Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, value := range parseInfo(text) {
		for _, want := range names {
			if name == "cmdstat_"+want {
				calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
				c, err := strconv.Atoi(calls)
				if err != nil {
					t.Fatal(err)
				}
				n += c
			}
		}
	}
	return n
}

// all returns how many commands the server processed, that for the question included.
func all(t testing.TB, d *store) int {
	t.Helper()
	text, err := d.conn.Client().Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(parseInfo(text)["total_commands_processed"])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAReadIsOneCommand(t *testing.T) {
	t.Parallel()
	d := openDriver(t, servertest.Redis(t).URL(), testOptions())
	value := record.New(record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}, []byte("v"))
	if e := d.Write(t.Context(), []driver.Op{{Key: "a", Step: record.Step{Verb: record.Add, Record: value, TTL: time.Hour}}})[0]; e.Err != nil {
		t.Fatal(e.Err)
	}
	for _, keys := range [][]string{{"a"}, {"b"}, {"a", "b", "c"}} {
		before := all(t, d)
		results := d.Get(t.Context(), keys)
		if n := all(t, d) - before - 1; n != 1 {
			t.Errorf("Get of %d keys was %d commands", len(keys), n)
		}
		for i, r := range results {
			if r.Err != nil || (r.Record != nil) != (keys[i] == "a") {
				t.Errorf("get %s: %q, %v", keys[i], r.Record, r.Err)
			}
		}
	}
	// The first Write sent the script; what follows is one command, and what it calls inside.
	before := all(t, d)
	d.Write(t.Context(), []driver.Op{{Key: "a", Step: record.Step{Verb: record.Delete, Fresh: record.NewToken()}}})
	if n := all(t, d) - before - 1; n != 1+3 { // EVALSHA: TIME, GET, DEL
		t.Errorf("a write was %d commands", n)
	}
}

func TestConcurrentReadsShareCommands(t *testing.T) {
	t.Parallel()
	for _, off := range []bool{false, true} {
		o := testOptions()
		o.NoBatching = off
		d := openDriver(t, servertest.Redis(t).URL(), o)
		const readers, reads = 64, 20
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range readers {
			wg.Go(func() {
				<-start
				for n := range reads {
					key := fmt.Sprintf("%d/%d", i, n)
					if r := d.Get(t.Context(), []string{key}); r[0].Err != nil || r[0].Record != nil {
						t.Errorf("get %s: %q, %v", key, r[0].Record, r[0].Err)
					}
					runtime.Gosched()
				}
			})
		}
		close(start)
		wg.Wait()
		n := commands(t, d, "get", "mget")
		t.Logf("no batching %v: %d reads in %d commands", off, readers*reads, n)
		if off && n != readers*reads || !off && n > readers*reads/2 {
			t.Errorf("no batching %v: %d reads in %d commands", off, readers*reads, n)
		}
	}
}
