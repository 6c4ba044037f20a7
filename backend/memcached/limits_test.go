package memcached_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestTooLargeLeavesTheOldRecord(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedMemcached(t)
	key := servertest.Key(t) + strings.Repeat("k", 100)
	for name, query := range map[string]string{"known here": "timeout=5s", "known to the server only": "timeout=5s&item_size=8388608"} {
		t.Run(name, func(t *testing.T) {
			key := key + name[:9]
			s := open(t, poolURL(query, srv))
			token := add(t, s, key, "old", time.Hour)
			b, _ := value(strings.Repeat("x", 1<<20), time.Hour)
			e := s.Write(t.Context(), driver.Op{Key: key, Step: record.Step{Verb: record.Swap, Expect: token, Record: b, TTL: time.Hour}})[0]
			if e.Outcome != driver.Unsent || !errors.Is(e.Err, backend.ErrTooLarge) {
				t.Errorf("%v, %v", e.Outcome, e.Err)
			}
			if got := bodyAt(t, s, key); got != "old" {
				t.Errorf("then %q", got)
			}
		})
	}
}

func TestTheLongestRecordUnderTheLongestKeyIsStored(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=5s", servertest.SharedMemcached(t)))
	key := servertest.Key(t)
	key += strings.Repeat("k", driver.MaxKey-len(key))
	size, ok := s.MaxRecord()
	if !ok {
		t.Fatal("no limit")
	}
	body := strings.Repeat("x", size-record.HeaderLen)
	add(t, s, key, body, time.Hour)
	if got := bodyAt(t, s, key); got != body {
		t.Errorf("%d bytes came back, of %d", len(got), len(body))
	}
}

func TestServersWithLargerItems(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=10s&item_size=4194304", own(t, 1, "-I", "4m")...))
	body := strings.Repeat("x", 4<<20-512-record.HeaderLen)
	add(t, s, "k", body, time.Hour)
	if got := bodyAt(t, s, "k"); got != body {
		t.Errorf("%d bytes came back, of %d", len(got), len(body))
	}
}

func TestARecordLivesAtLeastItsTTL(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=5s", servertest.SharedMemcached(t)))
	own := servertest.Key(t)
	for _, ttl := range []time.Duration{30 * 24 * time.Hour, 30*24*time.Hour + time.Second, 400 * 24 * time.Hour, 100 * 365 * 24 * time.Hour} {
		key := own + ttl.String()
		add(t, s, key, "v", ttl)
		if got := bodyAt(t, s, key); got != "v" {
			t.Errorf("TTL %v: %q", ttl, got)
		}
	}
}

func TestAShortTTLIsKeptAtAnyTimeOfTheServersSecond(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=5s", servertest.SharedMemcached(t)))
	own := servertest.Key(t)
	const ttl = time.Second
	var begun []time.Time // of a record each, 0 once it is gone
	left := 10
	tick := time.NewTicker(110 * time.Millisecond)
	defer tick.Stop()
	for ; left > 0; <-tick.C {
		if len(begun) < 10 {
			begun = append(begun, time.Now())
			add(t, s, own+strconv.Itoa(len(begun)-1), "v", ttl)
		}
		for i, begin := range begun {
			if begin.IsZero() {
				continue
			}
			before := time.Since(begin)
			there := bodyAt(t, s, own+strconv.Itoa(i)) != ""
			if !there && time.Since(begin) < ttl-2*time.Millisecond {
				t.Fatalf("record %d is gone after %v", i, time.Since(begin))
			}
			if there && before > ttl+10*time.Millisecond {
				t.Fatalf("record %d is there after %v", i, before)
			}
			if !there {
				begun[i] = time.Time{}
				left--
			}
		}
	}
}

func TestARemovedRecordLeavesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=5s", servertest.SharedMemcached(t)))
	ids := identities(t, s)
	key := servertest.Key(t)
	token := add(t, s, key, "v", time.Hour)
	e := s.Write(t.Context(), driver.Op{Key: key, Step: record.Step{Verb: record.Remove, Expect: token}})[0]
	if e.Outcome != driver.Done {
		t.Fatal(e)
	}
	if item := stored(t, s, <-ids, key); item != nil {
		t.Errorf("the server still returns %d bytes", len(item.Value))
	}
	add(t, s, key, "next", time.Hour)
}

func TestWhatIsNoRecordCountsAsNothing(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=5s", servertest.SharedMemcached(t)))
	ids := identities(t, s)
	key := servertest.Key(t)
	bodyAt(t, s, key)
	var client *memcache.Client
	s.As(&client)
	if err := client.Set(&memcache.Item{Key: <-ids + ":" + key, Value: []byte("short")}); err != nil {
		t.Fatal(err)
	}
	if got := bodyAt(t, s, key); got != "" {
		t.Fatal(got)
	}
	add(t, s, key, "v", time.Hour)
	if got := bodyAt(t, s, key); got != "v" {
		t.Error(got)
	}
}

func TestCountersGoBelowZeroAndBack(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=5s", servertest.SharedMemcached(t)))
	key := servertest.Key(t)
	var want int64
	for _, delta := range []int64{5, -10, 7, -1 << 61, 1 << 62, -1 << 61, 0, -3, 1000, -1e6} {
		want += delta
		if got, err := s.Count(t.Context(), key, delta, time.Minute); got != want || err != nil {
			t.Fatalf("after %+d: %d, %v, want %d", delta, got, err, want)
		}
	}
}

func TestACounterBeyondItsRangeIsAnError(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("timeout=5s", servertest.SharedMemcached(t)))
	for name, deltas := range map[string][]int64{
		"at once":  {math.MaxInt64},
		"below":    {math.MinInt64},
		"later":    {1, 1 << 62},
		"downward": {-1, math.MinInt64},
	} {
		key := servertest.Key(t) + name
		for i, delta := range deltas {
			_, err := s.Count(t.Context(), key, delta, time.Minute)
			if last := i == len(deltas)-1; last != (err != nil) {
				t.Errorf("%s: Count %+d: %v", name, delta, err)
			}
		}
	}
}
