package memory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
)

func setup(t testing.TB, maxBytes int64) *backend.Store {
	s := memory.New(&memory.Options{MaxBytes: maxBytes})
	t.Cleanup(func() { s.Close() })
	return s
}

func valueOf(ttl time.Duration, body []byte) []byte {
	return record.New(record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(ttl)}, body)
}

func add(t testing.TB, s *backend.Store, key string, ttl time.Duration, body []byte) driver.Effect {
	t.Helper()
	return s.Write(context.Background(), driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: valueOf(ttl, body), TTL: ttl}})[0]
}

func place(s *backend.Store, key string, ttl time.Duration) driver.Effect {
	return s.Write(context.Background(), driver.Op{Key: key, Step: record.Step{Verb: record.Place, Expect: record.NewToken(), TTL: ttl}})[0]
}

// stat returns a number of Stats.
func stat(t testing.TB, s *backend.Store, name string) int64 {
	t.Helper()
	all, err := s.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(all[s.String()][name], 10, 64)
	if err != nil {
		t.Fatalf("Stats %v: %s: %v", all, name, err)
	}
	return n
}

func TestWeightNeverExceedsItsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBound)
}

func testBound(t *testing.T) {
	const bound = 1 << 20
	s := setup(t, bound)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() { // ends with its writes, waited for below
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range 3000 {
				key := fmt.Sprint(r.IntN(2000))
				switch r.IntN(8) {
				case 0:
					s.Write(context.Background(), driver.Op{Key: key, Step: record.Step{Verb: record.Delete}})
				case 1:
					place(s, key, time.Millisecond)
				default:
					old := s.Get(context.Background(), key)[0].Record
					next := valueOf(time.Hour, make([]byte, r.IntN(4000)))
					if old == nil {
						add(t, s, key, time.Hour, next)
					} else {
						s.Write(context.Background(), driver.Op{Key: key, Step: record.Step{Verb: record.Swap, Expect: record.TokenOf(old), Record: next, TTL: time.Hour}})
					}
				}
				if n := stat(t, s, "bytes"); n > bound || n < 0 {
					t.Errorf("%d bytes, at most %d are allowed", n, bound)
					return
				}
			}
		})
	}
	wg.Wait()
	if stat(t, s, "evictions") == 0 {
		t.Error("nothing was evicted: the test was too small")
	}
	if n := stat(t, s, "bytes"); n < bound/2 {
		t.Errorf("only %d of %d bytes are in use", n, bound)
	}
	if _, err := s.DeletePrefix(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(record.FenceSlack + 10*time.Millisecond) // of the bubble: until the fences have expired
	if _, err := s.DeletePrefix(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		s.Get(t.Context(), fmt.Sprint(i)) // drops what has expired
	}
	if n, records := stat(t, s, "bytes"), stat(t, s, "records"); n != 0 || records != 0 {
		t.Errorf("empty, it has %d bytes and %d records", n, records)
	}
}

func TestWhatIsUsedOutlivesWhatIsNot(t *testing.T) {
	t.Parallel()
	s := setup(t, 2<<20)
	body := make([]byte, 1000)
	const hot = 200
	for i := range hot {
		add(t, s, fmt.Sprint("hot ", i), time.Hour, body)
	}
	for i := range 20_000 { // ten times what fits
		if e := add(t, s, fmt.Sprint("cold ", i), time.Hour, body); e.Outcome != driver.Done {
			t.Fatalf("add: %+v", e)
		}
		s.Get(t.Context(), fmt.Sprint("hot ", i%hot))
	}
	left := 0
	for i := range hot {
		if s.Get(t.Context(), fmt.Sprint("hot ", i))[0].Record != nil {
			left++
		}
	}
	if left < hot*9/10 {
		t.Errorf("%d of %d records in steady use are left", left, hot)
	}
}

func TestFencesAndCountersAreNotEvicted(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<20)
	for i := range 100 {
		if e := place(s, fmt.Sprint("fence ", i), time.Hour); e.Outcome != driver.Done {
			t.Fatalf("place: %+v", e)
		}
		if _, err := s.Count(t.Context(), fmt.Sprint("counter ", i), 7, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5000 {
		add(t, s, fmt.Sprint("value ", i), time.Hour, make([]byte, 1000))
	}
	for i := range 100 {
		if s.Get(t.Context(), fmt.Sprint("fence ", i))[0].Record == nil {
			t.Fatalf("fence %d was evicted", i)
		}
		if n, err := s.Count(t.Context(), fmt.Sprint("counter ", i), 0, time.Hour); n != 7 || err != nil {
			t.Fatalf("counter %d: %d, %v", i, n, err)
		}
	}
}

func TestAStoreFullOfFencesRefusesToForgetOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(&memory.Options{MaxBytes: memory.MinMaxBytes})
		defer s.Close()
		full := 0
		for ; ; full++ {
			e := place(s, fmt.Sprint(full), time.Minute)
			if e.Outcome == driver.Done {
				continue
			}
			if e.Outcome != driver.Unsent || !errors.Is(e.Err, backend.ErrUnavailable) {
				t.Fatalf("place when full: %+v, want unsent, unavailable", e)
			}
			break
		}
		var err error
		for i := 0; err == nil && i < 10; i++ { // a counter weighs a little less
			_, err = s.Count(t.Context(), fmt.Sprint("counter ", i), 1, time.Minute)
		}
		if !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Count when full: %v, want unavailable", err)
		}
		for i := range full {
			if s.Get(t.Context(), fmt.Sprint(i))[0].Record == nil {
				t.Fatalf("fence %d of %d is gone", i, full)
			}
		}
		time.Sleep(time.Minute + record.FenceSlack)
		if e := add(t, s, "value", time.Hour, make([]byte, 1000)); e.Outcome != driver.Done {
			t.Errorf("add after all fences expired: %+v", e)
		}
	})
}

func TestWritesDropWhatHasExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(nil)
		defer s.Close()
		const n = 1000
		for i := range n {
			add(t, s, fmt.Sprint("old ", i), time.Second, nil)
			s.Count(t.Context(), fmt.Sprint("old ", i), 1, time.Second)
		}
		time.Sleep(2 * time.Second)
		for i := range 3 * n { // more writes than there are old entries, and at any key
			add(t, s, fmt.Sprint("new ", i%100), time.Hour, nil)
			s.Write(t.Context(), driver.Op{Key: fmt.Sprint("none ", i), Step: record.Step{Verb: record.Delete}})
		}
		if records, counters := stat(t, s, "records"), stat(t, s, "counters"); records > 100+n/10 || counters > n/10 {
			t.Errorf("%d records and %d counters are left, want about 100 and none", records, counters)
		}
	})
}

func TestExpiryIsExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(nil)
		defer s.Close()
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // a whole millisecond
		add(t, s, "a", 5*time.Second, nil)
		s.Count(t.Context(), "n", 5, 5*time.Second)
		time.Sleep(5*time.Second - time.Millisecond)
		if s.Get(t.Context(), "a")[0].Record == nil {
			t.Error("gone a millisecond too early")
		}
		time.Sleep(time.Millisecond)
		if s.Get(t.Context(), "a")[0].Record != nil {
			t.Error("there at its expiry")
		}
		if n, err := s.Count(t.Context(), "n", 1, time.Second); n != 1 || err != nil {
			t.Errorf("an expired counter: %d, %v, want 1", n, err)
		}
	})
}

func TestTheCallersRecordIsCopied(t *testing.T) {
	t.Parallel()
	s := setup(t, 0)
	b := valueOf(time.Hour, []byte("body"))
	wanted := bytes.Clone(b)
	s.Write(t.Context(), driver.Op{Key: "a", Step: record.Step{Verb: record.Add, Record: b, TTL: time.Hour}})
	clear(b)
	if got := s.Get(t.Context(), "a")[0].Record; !bytes.Equal(got, wanted) {
		t.Errorf("%q, want %q", got, wanted)
	}
}

func TestTooLargeIsRefusedByAnEighth(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<20)
	limit, ok := s.MaxRecord()
	if !ok || limit != 1<<17 {
		t.Fatalf("MaxRecord: %d, %v", limit, ok)
	}
	if e := add(t, s, "a", time.Hour, make([]byte, limit-record.HeaderLen+1)); !errors.Is(e.Err, backend.ErrTooLarge) {
		t.Errorf("%+v, want ErrTooLarge", e)
	}
}

func TestACounterDoesNotWrapAround(t *testing.T) {
	t.Parallel()
	s := setup(t, 0)
	const most = 1<<63 - 1
	for _, sign := range []int64{1, -1} {
		key := fmt.Sprint(sign)
		s.Count(t.Context(), key, sign*most, time.Hour)
		if n, err := s.Count(t.Context(), key, 2*sign, time.Hour); err == nil {
			t.Errorf("beyond the end: %d, no error", n)
		}
		if n, err := s.Count(t.Context(), key, 0, time.Hour); n != sign*most || err != nil {
			t.Errorf("then: %d, %v", n, err)
		}
	}
}

func TestANameIsSharedUntilTheLastStoreCloses(t *testing.T) {
	t.Parallel()
	open := func(url string) *backend.Store {
		s, err := backend.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	there := func(s *backend.Store) bool { return s.Get(t.Context(), "a")[0].Record != nil }
	a, b, other, own := open("memory://shared"), open("memory://shared"), open("memory://other"), open("memory://")
	add(t, a, "a", time.Hour, nil)
	if !there(b) || there(other) || there(own) {
		t.Errorf("there in the same name %v, another %v, none %v", there(b), there(other), there(own))
	}
	a.Close()
	a.Close()
	if !there(b) {
		t.Error("gone though a Store of the name is open")
	}
	b.Close()
	if there(open("memory://shared")) {
		t.Error("there though all Stores of the name were closed")
	}
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	held, err := backend.Open(t.Context(), "memory://held?max=1000000")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for url, wanted := range map[string]string{
		"memory://?size=1":           `"size"; known: max`,
		"memory://?max=":             "max",
		"memory://?max=64MB":         "64MB",
		"memory://?max=1000":         "65536",
		"memory://?max=-1":           "65536",
		"memory://a/path":            "path",
		"memory://user:hunter2@host": "user",
		"memory://host:1":            "port",
		"memory://%zz:hunter2@x":     "URL",
		"memory://held?max=2000000":  "1000000",
	} {
		s, err := backend.Open(t.Context(), url)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", url)
		} else if !strings.Contains(err.Error(), wanted) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want it to name %s and no password", url, err, wanted)
		}
	}
	again, err := backend.Open(t.Context(), "memory://held")
	if err != nil {
		t.Fatalf("without max: %v", err)
	}
	again.Close()
}
