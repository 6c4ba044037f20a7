package tier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
)

// kindPending is that of what a journal holds, beside the kinds of records, none of which can pass for it.
const kindPending = 0xff

// write makes what the journal is to hold of ch.
func (b *behind[K, V]) write(ch *change[K, V], a policy.Answer[V], opts *call) (journal.Write, error) {
	w := journal.Write{Key: ch.w.remoteKey, Delete: a.Err != nil, ID: journal.NewID()}
	var err error
	if w.Source, err = b.keys.Append(nil, ch.w.key); err != nil {
		return w, fmt.Errorf("key: %w", err)
	}
	if !w.Delete {
		env := codec.Envelope{Created: time.Now(), Tags: opts.tags}
		w.Value, err = b.c.format().Encode(nil, &env, b.seal(w.Key), a.Value)
	}
	return w, err
}

// change is what an entry of the journal says.
func (b *behind[K, V]) change(e journal.Entry) (ch policy.Change[K, V], err error) {
	ch.Version, ch.ID, ch.Delete = uint64(e.Position), e.ID, e.Delete
	if ch.Key, err = b.keys.Decode(e.Source); err == nil && !e.Delete {
		ch.Value, _, err = b.c.format().Decode(e.Value, b.seal(e.Key))
	}
	return ch, err
}

// seal says where the body of a pending write belongs: in the journal, at the key. It has no token, since it is the same however
// often it is read.
func (b *behind[K, V]) seal(remoteKey string) codec.Seal {
	return codec.Seal{Key: b.c.keyspace(remoteKey), Kind: kindPending}
}

// pending returns the pending writes of wants as answers of the source, nil where there is none.
func (b *behind[K, V]) pending(ctx context.Context, wants []*want[K, V]) ([]*policy.Answer[V], error) {
	keys := make([]string, len(wants))
	for i, w := range wants {
		keys[i] = w.remoteKey
	}
	entries, err := b.queue.Pending(ctx, keys)
	if err != nil {
		return nil, err
	}
	answers := make([]*policy.Answer[V], len(wants))
	for i, e := range entries {
		if e.Position == 0 {
			continue
		}
		a := &policy.Answer[V]{Version: uint64(e.Position)}
		if e.Delete {
			a.Err = ErrNotFound
		} else if v, env, err := b.c.format().Decode(e.Value, b.seal(e.Key)); err != nil {
			a.Err = fmt.Errorf("pending write: %w", err) // the source has something older
		} else {
			a.Value, a.Tags = v, env.Tags
		}
		answers[i] = a
	}
	return answers, nil
}

// readPending gives those of wants their entries whose writes are pending in this node's own journal, and returns the others. No
// other tier knows of these.
func (c *Cache[K, V]) readPending(ctx context.Context, opts *call, wants []*want[K, V]) (rest []*want[K, V]) {
	if c.behind == nil || c.behind.shared {
		return wants
	}
	answers, err := c.behind.pending(ctx, wants)
	if err != nil {
		for _, w := range wants {
			w.err = c.ended(ctx, &Error{Op: w.op, Tier: "journal", Key: w.remoteKey, Err: err})
		}
		return nil
	}
	for i, w := range wants {
		a := answers[i]
		switch {
		case a == nil:
			rest = append(rest, w)
			continue
		case a.Err != nil && !errors.Is(a.Err, ErrNotFound):
			w.err = &Error{Op: w.op, Tier: "journal", Key: w.remoteKey, Err: a.Err}
			continue
		}
		l := c.lifeOf(opts, *a)
		w.entry = c.newEntry(w, *a, l, opts)
		if l.ttl > 0 {
			c.keep(opts, w.entry)
		}
	}
	return rest
}

// loadPending answers those of wants whose writes are pending in a journal that all nodes share, and returns the indices of the others:
// at these keys the source has the last word. Where the journal cannot be asked nobody knows which they are.
func (c *Cache[K, V]) loadPending(ctx context.Context, wants []*want[K, V], answers []policy.Answer[V]) (rest []int) {
	if c.behind == nil || !c.behind.shared {
		for i := range wants {
			rest = append(rest, i)
		}
		return rest
	}
	pending, err := c.behind.pending(ctx, wants)
	for i := range wants {
		switch {
		case err != nil:
			answers[i].Err = &journalError{err}
		case pending[i] != nil:
			answers[i] = *pending[i]
		default:
			rest = append(rest, i)
		}
	}
	return rest
}

// A journalError is what the journal said, and not the source.
type journalError struct{ error }

func (e *journalError) Unwrap() error { return e.error }

// keyspace returns key as the servers have it, so that what one tenant's journal holds does not pass for another's.
func (c *Cache[K, V]) keyspace(key string) string {
	if c.remote == nil {
		return key
	}
	return c.remote.Key(key)
}
