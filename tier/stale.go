package tier

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
)

// Staleness is what comparisons of local values with the remote tier have found: see Options.StaleSample.
//
// A local value is stale while the remote tier has another one in its place, and for as long as that has been there by the wall
// clock of the node which stored it, or since the local one was read, whichever is less. Another record with the same value,
// or with the same or an earlier version of the source, is no other value.
type Staleness struct {
	Compared  uint64 // local values that were compared
	Undecided uint64 // of these, those of which the remote tier's answer says nothing: see below
	Failed    uint64 // of these, those where it gave none: an outage says nothing either
	Stale     uint64 // of these, those that were stale
	Buckets   [staleBuckets]StaleBucket
	Oldest    time.Duration // the stalest of them
	Sum       time.Duration // of how stale they were
}

// A StaleBucket counts stale values. Those of the buckets before it are not in it.
type StaleBucket struct {
	AtMost time.Duration // how stale they were; of the last bucket the longest time there is
	Count  uint64
}

const staleBuckets = 11

var staleBounds = [staleBuckets]time.Duration{
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 3 * time.Second,
	10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, forever,
}

const (
	maxStaleSample = 10_000
	staleBatch     = 64      // values compared at once, at most
	staleLooks     = 1 << 12 // entries that are looked at for them, some of which may not be served
	staleWait      = time.Second
)

// A detector compares local values with the remote tier: a sample of those that the table holds, as most hits are answered from
// there. It reads, and changes nothing: what it finds goes on being served by the rules, so that they show in what it finds. No read
// knows of it.
//
//	the remote tier has               the local value is
//	the same token, version or value  as it should be
//	another value, by another token   stale, if it may still be served now that the answer is here
//	nothing                           undecided: it was invalidated, has expired or was evicted
//	a lease                           undecided: the same, and somebody loads it
//	a fence                           undecided: a write that is not acknowledged yet, or is in doubt
//	an answer that there is none      as any other value
//	what cannot be read, or may be
//	older data come back (guard)      undecided
//	an error, a late answer           undecided, and counted as failed
//
// Invalidations by tag and Clears are not seen: they leave records as they are.
type detector struct {
	compared, undecided, failed, stale atomic.Uint64
	buckets                            [staleBuckets]atomic.Uint64
	oldest, sum                        atomic.Int64
}

// found counts a value that was stale for so long.
func (d *detector) found(age time.Duration) {
	d.stale.Add(1)
	d.sum.Add(int64(age))
	d.oldest.Store(max(d.oldest.Load(), int64(age))) // one goroutine alone writes it
	for i, most := range staleBounds {
		if age <= most {
			d.buckets[i].Add(1)
			return
		}
	}
}

func (d *detector) staleness() Staleness {
	s := Staleness{
		Compared: d.compared.Load(), Undecided: d.undecided.Load(), Failed: d.failed.Load(), Stale: d.stale.Load(),
		Oldest: time.Duration(d.oldest.Load()), Sum: time.Duration(d.sum.Load()),
	}
	for i := range s.Buckets {
		s.Buckets[i] = StaleBucket{AtMost: staleBounds[i], Count: d.buckets[i].Load()}
	}
	return s
}

// detect starts the detector's goroutine, if there is anything to compare. It ends with c.ctx, and Close waits for it.
func (c *Cache[K, V]) detect() {
	if c.opts.StaleSample == 0 || c.local == nil || c.remote == nil {
		return
	}
	c.life.Go(func() {
		batch := min(c.opts.StaleSample, staleBatch)
		tick := time.NewTicker(time.Duration(batch) * time.Second / time.Duration(c.opts.StaleSample))
		defer tick.Stop()
		for at := rand.Uint64(); ; {
			select {
			case <-tick.C:
			case <-c.ctx.Done():
				return
			}
			// What the application wrote of keys and codecs is called here, on a goroutine of ours.
			if p := guarded(func() { at = c.compareSome(at, batch) }); p != nil {
				at = rand.Uint64()
				c.event(EventStale, "", fmt.Errorf("a comparison panicked: %w", p))
			}
		}
	})
}

// compareSome compares up to n local values, of the slots from at on, and returns the slot after the last that it looked at.
func (c *Cache[K, V]) compareSome(at uint64, n int) (next uint64) {
	entries := make([]*entry[K, V], 0, n)
	keys := make([]string, 0, n)
	now, looks := mono.Now(), 0
	next = c.local.walk(at, func(e *entry[K, V]) bool {
		if c.valid(e, now) {
			if key, err := c.remoteKey(e.key); err == nil && !c.inDoubt(key) {
				entries, keys = append(entries, e), append(keys, key)
			}
		}
		looks++
		return len(keys) < n && looks < staleLooks
	})
	if len(keys) == 0 {
		return next
	}
	view := c.guard.look()
	if !c.guard.settled(view) {
		return next
	}
	ctx, cancel := context.WithTimeout(c.ctx, staleWait)
	defer cancel()
	for i, found := range c.remote.Get(ctx, keys...) {
		if c.ctx.Err() != nil {
			break
		}
		c.compare(entries[i], keys[i], view, found)
	}
	return next
}

// compare judges the local entry e by what the remote tier was found to have at its key.
func (c *Cache[K, V]) compare(e *entry[K, V], key string, view *view, found driver.Result) {
	other, age, known := c.differs(e, key, view, found)
	now := mono.Now()
	if !c.valid(e, now) || c.local.get(e.hash, e.key, now) != e {
		return // it is not served any more
	}
	d := &c.detector
	d.compared.Add(1)
	switch {
	case found.Err != nil:
		d.undecided.Add(1)
		d.failed.Add(1)
	case !known:
		d.undecided.Add(1)
	case other:
		age = max(0, min(age, now-(e.bound-c.opts.MaxStaleness))) // it was no older when its read began
		d.found(age)
		if age > c.opts.MaxStaleness {
			c.event(EventStale, key, fmt.Errorf("what may still be served here was replaced in the remote tier %v ago, and MaxStaleness is %v", age, c.opts.MaxStaleness))
		}
	}
}

// differs reports whether found is another value than e, and for how long it has been in the remote tier. Where that cannot be known
// it reports so.
func (c *Cache[K, V]) differs(e *entry[K, V], key string, view *view, found driver.Result) (other bool, age time.Duration, known bool) {
	h, body, ok := record.Parse(found.Record)
	if found.Err != nil || !ok || h.Kind != record.Value {
		return false, 0, false
	}
	if h.Token == e.token {
		return false, 0, true
	}
	v, env, err := c.format().Decode(body, c.seal(key, h))
	if err != nil || c.guard.dead(view, positionOf(&env)) {
		return false, 0, false
	}
	switch {
	case env.Version != 0 && e.version != 0:
		other = env.Version > e.version
	case env.Negative || e.negative:
		other = env.Negative != e.negative
	default:
		other = !c.same(e.value, v)
	}
	return other, time.Since(env.Created), true
}

// same reports whether local is the value that was decoded as remote. It may have come from the source, and differ from it in what the
// codec does not keep.
func (c *Cache[K, V]) same(local, remote V) bool {
	a, err := c.opts.Codec.Append(nil, local)
	b, err2 := c.opts.Codec.Append(nil, remote)
	if err == nil && err2 == nil && bytes.Equal(a, b) {
		return true
	}
	if err == nil {
		local, err = c.opts.Codec.Decode(a) // the same value may be encoded in several ways
	}
	return err == nil && reflect.DeepEqual(local, remote)
}
