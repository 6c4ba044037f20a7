package tier

import "fmt"

// An EventKind says what an [Event] is about.
type EventKind uint8

const (
	EventRemoteError EventKind = iota + 1 // the remote tier failed and the call went on without it
	EventUndecodable                      // a remote record could not be used
	EventRefresh                          // a load behind a stale value failed
	EventFlush                            // the whole local tier was given up: Err says why
	EventMismatch                         // another node uses this cache's name with other options
	EventRewind                           // the remote tier came back with older data, or may have: Err says what that means, and when it is over
	EventRepair                           // what is to be repaired is too much for single keys, or was left when the cache closed
	EventStale                            // a local value was found that is older than MaxStaleness allows: see Options.StaleSample
	EventUnwritten                        // the source did not take pending writes of policy.WriteBehind, which are tried again
	EventDeadLetter                       // a pending write became a dead letter
)

func (k EventKind) String() string {
	if names := [...]string{"", "remote error", "undecodable", "refresh failed", "flush", "mismatch", "rewind", "repair", "stale", "unwritten", "dead letter"}; int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// An Event is something that went wrong, or that people who run the cache want to know, and that failed no call.
type Event struct {
	Kind EventKind
	Key  string // as the remote tier has it, "" for all
	Err  error
}

func (c *Cache[K, V]) event(kind EventKind, key string, err error) {
	c.opts.Logger.Warn("strata: "+kind.String(), "cache", c.name, "key", key, "err", err)
	if c.opts.OnEvent == nil {
		return
	}
	// It may be a goroutine of ours, where a panic would end the program, and what is told has failed nobody.
	if p := guarded(func() { c.opts.OnEvent(Event{Kind: kind, Key: key, Err: err}) }); p != nil {
		c.opts.Logger.Error("strata: OnEvent panicked", "cache", c.name, "err", p)
	}
}

func (c *Cache[K, V]) flushed(reason string) {
	c.tags.missed()
	c.epochs.suspect()
	c.n.flushes.Add(1)
	c.event(EventFlush, "", fmt.Errorf("%s", reason))
}
