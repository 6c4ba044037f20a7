package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

var _ policy.Source[string, int] = (*loader)(nil)

var (
	errNotWritten  = fmt.Errorf("simulation: a constraint: %w", policy.ErrNotWritten)
	errWhoKnows    = errors.New("simulation: the source gave no answer")
	errSourceEnded = errors.New("simulation: the caller left")
)

// Store implements policy.Store, for a life under write-through. The version is that of the item.
func (o *loader) Store(ctx context.Context, key string, _ int) error {
	return o.life.commit(ctx, []int{indexOf(key)})
}

// Delete implements policy.Store.
func (o *loader) Delete(ctx context.Context, key string) error {
	return o.life.commit(ctx, []int{indexOf(key)})
}

// commit writes the source at keys, for the item whose context it is.
func (l *life) commit(ctx context.Context, keys []int) error {
	w, x := l.w, execOf(ctx)
	if err := l.hold(); err != nil {
		return err
	}
	began := w.now() // the fence stands
	take := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, k := range keys {
			v := x.v
			v.number += k
			w.source.commit(k, v)
			if w.script.Refuse {
				w.source.owed = append(w.source.owed, debt{life: l, key: k, version: v, at: w.now(), since: never, fenced: began})
			}
			w.logLocked("N%d %s: the source has v%d at k%d", l.node.id, x.it.Op, v.number, k)
		}
	}
	before, after := x.it.SlowLoad, time.Duration(0)
	if x.it.Seed>>10%2 > 0 {
		before, after = 0, before
	}
	sleep(ctx, before+w.usual(ms(1), ms(10), x.it.Seed))
	switch x.it.Source {
	case refused:
		return errNotWritten
	case vanished:
		return errWhoKnows
	case lands:
		w.work.Go(func() {
			time.Sleep(x.it.SourceLate)
			take()
		})
		return errWhoKnows
	}
	if l.hold() != nil {
		return errDead
	}
	take()
	sleep(ctx, w.usual(ms(1), ms(10), mix(x.it.Seed, 2))+after)
	if err := l.hold(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errSourceEnded // though it has it
	}
	return nil
}

// newVersions reserves one version for each key: numbers that follow each other, the first for key 0.
func (w *world) newVersions(absent bool) version {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.source.version(absent)
	w.source.versions += w.script.Keys
	return first
}

// through writes by way of the cache.
func (l *life) through(ctx context.Context, it *item, x *exec) {
	x.v = l.w.newVersions(it.Op == remove)
	v := x.v
	v.number += it.Key
	var err error
	if it.Op == remove {
		err = l.cache.Delete(ctx, it.key())
	} else {
		err = l.cache.Set(ctx, it.key(), v.number, tier.WithTags(tagsOf(it.Key)...))
	}
	l.written(it, []int{it.Key}, x.v, err)
}

// within writes the source itself, within a write that the cache knows of.
func (l *life) within(ctx context.Context, it *item, x *exec) {
	w := l.w
	keys := []int{it.Key}
	if it.allTags() {
		keys = []int{0, 1, 2}[:w.script.Keys]
	}
	if w.serial {
		for _, k := range keys {
			w.turns[k] <- struct{}{}
			defer func() { <-w.turns[k] }()
		}
		if w.now() > healed || l.hold() != nil {
			return
		}
	}
	var names []string
	for _, k := range keys {
		names = append(names, keyNames()[k])
	}
	x.v = w.newVersions(false)
	change, err := l.cache.BeginWrite(ctx, names...)
	if err != nil {
		w.record(l, it, "begin", 0, err)
		return
	}
	if it.Seed>>9%2 == 0 && len(keys) == 1 {
		_ = change.Set(names[0], x.v.number+keys[0]) // which only fails for values that are too large
	}
	if err = l.commit(ctx, keys); err == nil {
		err = change.Commit(ctx)
	} else {
		change.Abort(ctx, err)
	}
	l.written(it, keys, x.v, err)
}

// written notes what a write has promised.
func (l *life) written(it *item, keys []int, first version, err error) {
	w := l.w
	if l.hold() != nil {
		return
	}
	vs := make([]version, len(keys))
	for i, k := range keys {
		vs[i] = version{first.number + k, first.absent}
	}
	w.record(l, it, string(it.Op), vs[0].number, err)
	switch {
	case err == nil:
		for i, k := range keys {
			l.acknowledged(k, vs[i])
		}
	case errors.Is(err, policy.ErrNotWritten):
	case errors.Is(err, tier.ErrInvalidationPending):
		l.owe(it, keys, vs, w.now())
	default:
		l.owe(it, keys, vs, never) // perhaps, some day
	}
	if it.Seed%2 == 0 {
		l.read(plain(get, it), &item{Op: get, Key: it.Key})
	}
}
