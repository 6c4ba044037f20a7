package tier

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/strata-cache/strata/internal/weaken"
)

// doubtfulTagsMax bounds the tags whose invalidation is to be repaired; more are repaired by a Clear.
const doubtfulTagsMax = 1024

// tagDoubts are the tags whose invalidation has no clear answer. Until it is repaired this node serves no value that has one.
type tagDoubts struct {
	some atomic.Bool // there may be any

	mu     sync.Mutex
	serial uint64
	by     map[string]uint64 // by tag, the serial when it was last added; guarded by mu
}

// add notes tags, and reports whether there was room.
func (d *tagDoubts) add(tags []string) (ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = make(map[string]uint64)
	}
	d.serial++
	for _, t := range tags {
		if d.by[t] == 0 && len(d.by) >= doubtfulTagsMax {
			return false
		}
		d.by[t] = d.serial
	}
	d.some.Store(true)
	return true
}

// hold reports whether a tag in slots is in doubt.
func (d *tagDoubts) hold(slots []uint16) bool {
	if len(slots) == 0 || !d.some.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for t := range d.by {
		slot := slotOf(t)
		for _, s := range slots {
			if s == slot {
				return true
			}
		}
	}
	return false
}

// waiting returns the tags, and the serial until which settle may take them out.
func (d *tagDoubts) waiting() (tags []string, serial uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for t := range d.by {
		tags = append(tags, t)
	}
	return tags, d.serial
}

// settle takes out what was added up to serial, and reports how much is left.
func (d *tagDoubts) settle(serial uint64) (left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for t, added := range d.by {
		if added <= serial {
			delete(d.by, t)
		}
	}
	d.some.Store(len(d.by) > 0)
	return len(d.by)
}

// doubtTags has the invalidation of tags repaired behind.
func (c *Cache[K, V]) doubtTags(tags []string) {
	if !c.tagDoubts.add(tags) {
		c.repairLater(repair{remote: true, tell: true})
		return
	}
	c.repairTask("tags", false, c.repairTags)
}

// repairTags invalidates the tags in doubt once more.
func (c *Cache[K, V]) repairTags(ctx context.Context) error {
	tags, serial := c.tagDoubts.waiting()
	if len(tags) == 0 {
		return nil
	}
	if _, err := c.invalidateTags(ctx, tags); err != nil {
		return err
	}
	c.tags.bump(slotsOf(tags)) // what was read before is not served once the doubt is gone
	if left := c.tagDoubts.settle(serial); left > 0 {
		return fmt.Errorf("%d tags were added meanwhile", left)
	}
	return nil
}

// dead reports whether a value that was found for w must not be served: it was invalidated by tag or a Clear, or that is not known.
// The latter also where something was invalidated after its markers were asked for, and before it was captured anew: the value may
// be older than that, and would be kept as if it were not.
func (c *Cache[K, V]) dead(w *want[K, V], s stamp, slots []uint16) bool {
	return w.marks == nil || w.at.tags > w.marks.clock && !weaken.Off(weaken.TagMoment) || w.marks.dead(s, slots) || !c.tags.current(slots, w.at.tags) || c.tagDoubts.hold(slots)
}
