package node

import (
	"context"
	"errors"
	"time"

	"github.com/strata-cache/strata/integration/coherence/clock"
	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/tier"
)

// A change is one write as it goes on: what it commits at the source, and of which keys it tells the cache.
type change struct {
	process  history.Process
	source   *Source
	verb     string
	keys     []int         // the one that is written, and what else the cache is told of
	made     map[int]int64 // what was committed: versions, or their names
	patience time.Duration // of the source's commits, 0 for that of the call
	began    int64         // when the cache was called; the source may have been written before
}

// commit makes a new version at the source.
func (c *change) commit(ctx context.Context, key int) (Value, error) {
	if c.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience)
		defer cancel()
	}
	v, err := c.source.Commit(ctx, key)
	if err == nil {
		c.made[key] = v.Version
	}
	return v, err
}

// begin notes that the cache is called now.
func (c *change) begin() { c.began = clock.Now() }

// ended is what the history keeps of it.
func (c *change) ended(err error) []history.Write {
	now, message := clock.Now(), ""
	if err != nil {
		message = err.Error()
	}
	writes := make([]history.Write, len(c.keys))
	for i, key := range c.keys {
		writes[i] = history.Write{Process: c.process, Key: key, Verb: c.verb, Version: c.made[key], Began: c.began, Ended: now, Error: message, Part: i > 0}
	}
	return writes
}

// write makes new versions at the source and does to the cache what the verb says. It tells of that at once: what a node has
// acknowledged counts, even if it is killed now.
func (n *node) write(ctx context.Context, w Write) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := &change{process: n.config.Process, source: n.source, verb: w.Verb, patience: w.Patience, keys: covered(w.Verb, w.Key, n.config.Traffic.Keys), made: map[int]int64{}}
	err := n.cache.Write(ctx, c)
	if c.began != 0 {
		n.send(Message{Writes: c.ended(err)})
	}
	return err
}

// Write does what the verb of c says.
func (s *strata) Write(ctx context.Context, c *change) error {
	key := c.keys[0]
	cache := s.of(key)
	switch c.verb {
	case Set:
		v, err := c.commit(ctx, key)
		if err != nil {
			return err
		}
		c.begin()
		return cache.Set(ctx, key, v, tier.WithTags(tagsOf(key)...))
	case BeginWrite, StateWrite:
		return s.within(ctx, cache, c)
	case Through:
		v := Value{Key: key, Version: s.newName()}
		c.made[key] = v.Version
		c.begin()
		return cache.Set(ctx, key, v)
	case Tag:
		if err := c.several(ctx); err != nil {
			return err
		}
		c.begin()
		return cache.InvalidateTag(ctx, tagOf(key))
	case Clear:
		if err := c.several(ctx); err != nil {
			return err
		}
		c.begin()
		return cache.Clear(ctx)
	case Prefix:
		if err := c.several(ctx); err != nil {
			return err
		}
		c.begin()
		err := cache.InvalidatePrefix(ctx, prefixOf(key))
		if err != nil && !errors.Is(err, tier.ErrInvalidationPending) { // nobody repairs that: what was changed is told in another way
			for key := range c.made {
				err = errors.Join(err, cache.Invalidate(ctx, key))
			}
		}
		return err
	}
	if _, err := c.commit(ctx, key); err != nil {
		return err
	}
	c.begin()
	return cache.Invalidate(ctx, key)
}

// several makes new versions of the key that is written, and of some others that the cache is told of.
func (c *change) several(ctx context.Context) error {
	for i, key := range c.keys {
		if i > 0 && (ownOf(key) || i%8 != 1) {
			continue
		}
		if _, err := c.commit(ctx, key); err != nil {
			return err
		}
		if len(c.made) == 3 {
			break
		}
	}
	return nil
}

// within changes the source between BeginWrite and Commit.
func (s *strata) within(ctx context.Context, cache *tier.Cache[int, Value], c *change) error {
	key := c.keys[0]
	c.begin()
	w, err := cache.BeginWrite(ctx, key)
	if err != nil {
		return err
	}
	v, err := c.commit(ctx, key)
	if err != nil {
		w.Abort(ctx, err)
		return err
	}
	if c.verb == StateWrite {
		if err := w.Set(key, v); err != nil {
			return errors.Join(err, w.Commit(ctx))
		}
	}
	return w.Commit(ctx)
}
