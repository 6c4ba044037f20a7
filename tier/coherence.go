package tier

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
)

// protocol is the version of the rules that nodes of one cache have to share.
const protocol = 3

// fingerprint names what two nodes must agree on to keep each other coherent.
func (c *Cache[K, V]) fingerprint() string {
	remote := "none"
	if c.remote != nil {
		remote = "shared"
	}
	return fmt.Sprintf("protocol=%d version=%s remote=%s policy=%v", protocol, c.opts.Version, remote, c.opts.Policy.Mode)
}

// valid reports whether the local entry e may be served to a read that began at now.
func (c *Cache[K, V]) valid(e *entry[K, V], now time.Duration) bool {
	if e.epoch != c.epochs.stripe[e.stripe].Load() || e.gen != c.epochs.gen.Load() || now >= e.expiry {
		return false
	}
	if len(e.slots) > 0 && !c.tags.current(e.slots, e.tagged) {
		return false
	}
	trust := c.trust.Load()
	return int64(now) < trust || trust == neverTrusted && now < e.bound
}

func (c *Cache[K, V]) trusted() bool { return int64(mono.Now()) < c.trust.Load() }

// A listener is a cache as its bus sees it. All its methods are called from one goroutine, and must not block.
type listener[K comparable, V any] struct{ c *Cache[K, V] }

// Apply does what another node announced. What this node announced it did before.
func (l listener[K, V]) Apply(pos invalidation.Position, own bool, m invalidation.Message) {
	l.c.guard.applied(pos, m)
	if own {
		return
	}
	switch m.Verb {
	case invalidation.VerbInvalidate, invalidation.VerbExpire:
		for _, key := range m.Keys {
			l.c.epochs.bump(l.c.epochs.stripeOf(key))
		}
		l.c.n.received.Add(uint64(len(m.Keys)))
	case invalidation.VerbTag:
		l.c.tags.bump(slotsOf(m.Keys))
		l.c.n.received.Add(uint64(len(m.Keys)))
	default: // a clear, or a verb of a later version: all of it is surely enough
		l.c.tags.clear()
		l.c.epochs.flush()
		l.c.n.received.Add(1)
	}
}

// Flush gives the local tier up, because messages may have been missed.
func (l listener[K, V]) Flush(reason string) {
	l.c.guard.missed(reason)
	l.c.flushed(reason)
}

// Trust moves the trust deadline.
func (l listener[K, V]) Trust(sent time.Time) {
	l.c.guard.contiguous()
	until := int64(mono.Of(sent) + l.c.opts.MaxStaleness)
	if weaken.Off(weaken.Trust) {
		until = math.MaxInt64
	}
	l.c.trust.Store(until)
}

// Mismatched keeps the local tier empty while another node uses this name with other options.
func (l listener[K, V]) Mismatched(_, theirs string) {
	c := l.c
	// The other node tells us about every fifth of its own bound, which is not known here.
	until := mono.Now() + max(3*c.opts.MaxStaleness, time.Minute)
	if before := c.muted.Swap(int64(until)); before == 0 || before < int64(mono.Now()) {
		c.event(EventMismatch, "", fmt.Errorf("another node has %s, this one %s: the local tier is off", theirs, c.fingerprint()))
	}
	c.epochs.suspect()
}

// announce tells the other nodes. Without a bus there is nobody to tell.
func (c *Cache[K, V]) announce(ctx context.Context, verb invalidation.Verb, keys []string) error {
	if c.bus == nil {
		return nil
	}
	for rest := keys; ; {
		n := announceable(rest)
		m := invalidation.Message{Verb: invalidation.VerbClear} // surely enough, where a key is too long to be named
		if n >= 0 {
			m = invalidation.Message{Verb: verb, Keys: rest[:n:n]}
		}
		at, err := c.bus.Announce(ctx, m)
		if err == nil {
			c.guard.told(at, m)
		}
		if err != nil || n < 0 {
			return err
		}
		if rest = rest[n:]; len(rest) == 0 {
			return nil
		}
	}
}

// announceBytes and announceKeys keep one announcement well within the bounds of the bus.
const (
	announceBytes = invalidation.MaxAnnouncement / 4
	announceKeys  = invalidation.MaxKeys / 4
)

// announceable returns how many of keys go into one announcement, or -1 if the first is longer than the bus takes.
func announceable(keys []string) int {
	size := 0
	for i, k := range keys {
		if len(k) > invalidation.MaxKey {
			if i == 0 {
				return -1
			}
			return i
		}
		if size += len(k) + 16; i > 0 && (size > announceBytes || i == announceKeys) {
			return i
		}
	}
	return len(keys)
}
