package tier

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/policy"
)

// loadsAtOnce bounds the loads of one batch when the loader takes one key at a time.
const loadsAtOnce = 16

// load asks the source for all wants, which share a loader, and returns one answer for each.
func (c *Cache[K, V]) load(ctx context.Context, wants []*want[K, V]) []policy.Answer[V] {
	answers := make([]policy.Answer[V], len(wants))
	loader := wants[0].loader
	if loader == nil {
		for i, w := range wants {
			answers[i].Err = ErrNotFound
			if w.down != nil {
				answers[i].Err = w.down // an outage is never a miss
			}
		}
		return answers
	}
	rest := c.loadPending(ctx, wants, answers)
	if len(rest) == len(wants) {
		return c.ask(ctx, loader, wants)
	}
	asked := make([]*want[K, V], len(rest))
	for i, at := range rest {
		asked[i] = wants[at]
	}
	if len(asked) > 0 {
		for i, a := range c.ask(ctx, loader, asked) {
			answers[rest[i]] = a
		}
	}
	return answers
}

// ask asks loader for all wants, and returns one answer for each.
func (c *Cache[K, V]) ask(ctx context.Context, loader policy.Loader[K, V], wants []*want[K, V]) []policy.Answer[V] {
	answers := make([]policy.Answer[V], len(wants))
	c.n.loads.Add(uint64(len(wants)))
	switch batch, ok := loader.(policy.BatchLoader[K, V]); {
	case len(wants) == 1:
		answers[0] = loadOne(ctx, loader, wants[0])
	case ok:
		answers = loadMany(ctx, batch, wants)
	default:
		atOnce(loadsAtOnce, len(wants), func(i int) {
			answers[i].Err = errGoexit // unless it returns
			answers[i] = loadOne(ctx, loader, wants[i])
		})
	}
	for i := range answers {
		if n := len(answers[i].Tags); n > codec.MaxTags {
			answers[i] = policy.Answer[V]{Err: fmt.Errorf("loader: %d tags, at most %d", n, codec.MaxTags)}
		}
		if err := answers[i].Err; err != nil && !errors.Is(err, ErrNotFound) {
			c.n.loadErrors.Add(1)
		}
	}
	return answers
}

func loadOne[K comparable, V any](ctx context.Context, loader policy.Loader[K, V], w *want[K, V]) (a policy.Answer[V]) {
	err := guarded(func() {
		r, ok := loader.(policy.Refresher[K, V])
		if !ok {
			a.Value, a.Err = loader.Load(ctx, w.key)
			if w.held != nil {
				a.Tags = w.held.tags // it cannot tell of others
			}
			return
		}
		var held *policy.Answer[V]
		if w.held != nil {
			held = &policy.Answer[V]{Value: w.held.value, Tags: w.held.tags, Version: w.held.version}
			if w.held.negative {
				held.Err = ErrNotFound
			}
		}
		a = r.Refresh(ctx, w.key, held)
		if a.Unchanged && held != nil {
			a.Value, a.Err = held.Value, held.Err
			if a.Tags == nil {
				a.Tags = held.Tags
			}
			if a.Version == 0 {
				a.Version = held.Version
			}
		} else if a.Unchanged {
			a.Err = errUnchanged
		}
	})
	if err != nil {
		a.Err = err
	}
	return a
}

// errUnchanged is for a loader that says so of nothing.
var errUnchanged = errors.New("loader: unchanged, though nothing was held")

func loadMany[K comparable, V any](ctx context.Context, loader policy.BatchLoader[K, V], wants []*want[K, V]) []policy.Answer[V] {
	keys := make([]K, len(wants))
	for i, w := range wants {
		keys[i] = w.key
	}
	var answers []policy.Answer[V]
	var err error
	if p := guarded(func() { answers, err = loader.LoadMany(ctx, keys) }); p != nil {
		err = p
	}
	if err == nil && len(answers) != len(keys) {
		err = fmt.Errorf("loader: %d answers for %d keys", len(answers), len(keys))
	}
	answers = slices.Clone(answers)
	for i := range answers {
		if answers[i].Unchanged {
			answers[i] = policy.Answer[V]{Err: errUnchanged}
		}
	}
	if err != nil {
		answers = make([]policy.Answer[V], len(keys))
		for i := range answers {
			answers[i].Err = err
		}
	}
	return answers
}

// atOnce calls f with each number below n, at most so many at a time, and returns when all have returned, or ended their goroutine.
func atOnce(most, n int, f func(i int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, most)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	group.Wait()
}

// guarded calls f and returns an error if it panicked.
func guarded(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack()}
		}
	}()
	f()
	return nil
}
