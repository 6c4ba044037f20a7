package tier

import (
	"fmt"
	"sync"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
)

// A RepairLog keeps the keys that are to be repaired over the death of the process: package tier/repairlog has one in a file. One
// log is for one cache of one process at a time. Its methods are called one at a time, when a repair begins and ends, and not on
// the way of reads, or of writes that get their answers.
type RepairLog interface {
	// Pending returns the keys that were added and not done when the log was last used. New calls it once. An error says that keys
	// may be missing: then everything is in doubt, and the cache is cleared.
	Pending() (keys []string, err error)

	// Add keeps a key; adding it again is nothing. It returns when the key outlasts the process. The empty key is everything.
	Add(key string) error

	// Done forgets a key.
	Done(key string) error
}

// logged is the log of what waits to be repaired. A log that fails is an event: the repairs go on without it.
type logged struct {
	mu  sync.Mutex // held while log is used
	log RepairLog  // nil: none
}

// resume begins the repairs that an earlier process did not end. It may have died while it was not known whether the source has a
// write: so each is one of unknown outcome again.
func (c *Cache[K, V]) resume() {
	log := c.opts.RepairLog
	if log == nil || weaken.Off(weaken.RepairLog) {
		return
	}
	keys, err := log.Pending()
	c.logged.log = log
	if err != nil {
		c.logFailed("", err)
		keys = append(keys, "")
	}
	for _, k := range keys {
		r := repairOf(k)
		if !weaken.Off(weaken.SourceSettle) {
			r.later, r.due = true, mono.Now()+c.opts.SourceSettle
		}
		if k != "" && r.later {
			r.hold, r.tokens = true, []record.Token{record.NewToken()}
		}
		c.repairLater(r)
	}
}

// logAdd keeps key, which waits to be repaired.
func (c *Cache[K, V]) logAdd(key string) {
	if c.logged.log == nil {
		return
	}
	c.logged.mu.Lock()
	defer c.logged.mu.Unlock()
	if err := c.logged.log.Add(key); err != nil {
		c.logFailed(key, err)
	}
}

// logDone forgets key, unless it waits again.
func (c *Cache[K, V]) logDone(key string) {
	if c.logged.log == nil {
		return
	}
	c.logged.mu.Lock()
	defer c.logged.mu.Unlock()
	if c.repairs.waits(key) { // whoever added it since waits for its turn at the log
		return
	}
	if err := c.logged.log.Done(key); err != nil {
		c.logFailed(key, err)
	}
}

func (c *Cache[K, V]) logFailed(key string, err error) {
	c.event(EventRepair, key, fmt.Errorf("repair log: %w", err))
}
