package simulation

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/tier"
)

func itoa(i int) string { return strconv.Itoa(i) }

// giveUp is when a write that is not acknowledged yet, long after everything was healed, is a fault of its own.
const giveUp = judgedAt - 300*time.Millisecond

// do lets an item happen.
func (w *world) do(it *item) {
	n := w.nodes[it.Node]
	if w.fault(n, it) {
		return
	}
	l := n.living()
	if l == nil || l.hold() != nil {
		return
	}
	x := &exec{it: it}
	ctx := context.WithValue(context.Background(), execKey{}, x)
	first := ctx
	if it.Patience > 0 {
		var cancel context.CancelFunc
		first, cancel = context.WithTimeout(ctx, it.Patience)
		defer cancel()
	}
	switch it.Op {
	case within:
		l.within(first, it, x)
	case set, remove:
		if w.script.Through {
			l.through(first, it, x)
			return
		}
		l.write(first, ctx, it)
	case invalidate, clear, tag, prefix:
		l.write(first, ctx, it)
	case expire:
		l.w.record(l, it, "expire", 0, l.cache.Expire(first, it.key()))
	default:
		l.read(first, it)
		time.Sleep(it.For + w.between(0, ms(1), it.Seed))
		if l.hold() == nil {
			l.read(plain(it.Op, it), it)
		}
	}
}

// plain is the context of what follows an item, and which nothing befalls.
func plain(o op, it *item) context.Context {
	return context.WithValue(context.Background(), execKey{}, &exec{it: &item{Op: o, Key: it.Key, Seed: mix(it.Seed, 9)}})
}

// read does one read and judges it. It returns the error of one that brought nothing.
func (l *life) read(ctx context.Context, it *item) (err error) {
	w, start := l.w, l.w.now()
	judge := func(key, v int, err error) error {
		if l.hold() != nil {
			return nil
		}
		w.record(l, &item{Key: key}, string(it.Op), v, err)
		absent := errors.Is(err, tier.ErrNotFound)
		if err != nil && !absent {
			return err
		}
		l.check(key, start, version{v, absent}, it.Op)
		return nil
	}
	switch it.Op {
	case getMany:
		keys := keyNames()[:w.script.Keys]
		for i, e := range l.cache.GetMany(ctx, keys) {
			err = errors.Join(err, judge(i, e.Value, e.Err))
		}
		return err
	case peek:
		v, ok, err := l.cache.Peek(ctx, it.key())
		if err == nil && !ok {
			return nil
		}
		return judge(it.Key, v, err)
	case skipLocal, fresh, allowStale:
		v, err := l.cache.Get(ctx, it.key(), map[op]tier.Option{skipLocal: tier.SkipLocalRead(), fresh: tier.Fresh(), allowStale: tier.AllowStale()}[it.Op])
		return judge(it.Key, v, err)
	default:
		v, err := l.cache.Get(ctx, it.key())
		return judge(it.Key, v, err)
	}
}

// write changes the source and tells the cache, until that is acknowledged. Where somebody Sets, writers of a key take turns: of
// two that wrote the source in one order and Set in the other the cache cannot know which is right.
func (l *life) write(first, ctx context.Context, it *item) {
	w := l.w
	keys := []int{it.Key}
	if most := w.script.Keys; it.Op == clear || it.Op == tag && it.allTags() {
		keys = []int{0, 1, 2}[:most]
	} else if it.Op == prefix {
		keys = []int{0, 1}[:min(2, most)]
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
	time.Sleep(w.usual(ms(1), ms(10), it.Seed))
	if l.hold() != nil {
		return
	}
	vs := make([]version, len(keys))
	w.mu.Lock()
	for i, k := range keys {
		vs[i] = w.source.version(it.Op == remove)
		w.source.commit(k, vs[i])
		w.logLocked("N%d %s: the source has v%d at k%d", l.node.id, it.Op, vs[i].number, k)
	}
	w.mu.Unlock()
	for try := 0; ; try++ {
		var err error
		switch {
		case it.Op == clear:
			err = l.cache.Clear(first)
		case it.Op == tag && it.allTags():
			err = l.cache.InvalidateTag(first, allTag)
		case it.Op == tag:
			err = l.cache.InvalidateTag(first, tagOf(it.Key))
		case it.Op == prefix:
			err = l.cache.InvalidatePrefix(first, keyNames()[0]) // which the second begins with
		case it.Op == remove:
			err = l.cache.Delete(first, it.key())
		case it.Op == set && try == 0:
			err = l.cache.Set(first, it.key(), vs[0].number, tier.WithTags(tagsOf(it.Key)...))
		default:
			err = l.cache.Invalidate(first, it.key())
		}
		if l.hold() != nil {
			return
		}
		w.record(l, it, string(it.Op), vs[0].number, err)
		if err == nil {
			break
		}
		if errors.Is(err, tier.ErrInvalidationPending) && it.Seed%3 > 0 {
			l.owe(it, keys, vs, w.now()) // the cache repairs it
			return
		}
		if w.now() > giveUp {
			w.violate("liveness", "N%d: %s is not acknowledged long after everything was healed: %v", l.node.id, it.Op, err)
			return
		}
		first = ctx
		time.Sleep(w.between(ms(20), ms(80), mix(it.Seed, uint64(try))))
	}
	for i, k := range keys {
		l.acknowledged(k, vs[i])
	}
	if it.Seed%2 == 0 {
		l.read(plain(get, it), &item{Op: get, Key: it.Key})
	}
}

// judge reads k long after everything was healed: it must work, and bring the truth.
func (w *world) judge(n *node, k int, salt uint64) {
	l := n.living()
	if l == nil {
		w.violate("liveness", "N%d has not come back", n.id)
		return
	}
	it := &item{Op: get, Key: k, Seed: salt}
	ctx, cancel := context.WithTimeout(plain(get, it), 10*time.Second)
	defer cancel()
	if err := l.read(ctx, it); err != nil {
		w.violate("liveness", "N%d cannot read k%d long after everything was healed: %v", n.id, k, err)
	}
}

// fault lets it happen if it is one.
func (w *world) fault(n *node, it *item) bool {
	until := w.now() + it.For
	l := n.living()
	w.mu.Lock()
	defer w.mu.Unlock()
	again := func(change func()) { // what happens when the fault is over
		w.work.Go(func() {
			time.Sleep(it.For + ms(1))
			change()
		})
	}
	switch it.Op {
	case pause:
		n.paused = until
	case crash:
		if l != nil {
			w.work.Go(func() { l.crash(it.For) })
		}
	case cutRemote:
		n.cut[remote] = until
	case cutBus:
		n.cut[bus] = until
		if l != nil {
			again(l.ear.Reconnect)
		}
	case hole:
		n.hole = until
	case drop, swap, repeat:
		if l != nil {
			*map[op]*int{drop: &l.ear.drop, swap: &l.ear.swap, repeat: &l.ear.repeat}[it.Op] = 1 + int(it.Seed%2)
		}
	case lose:
		w.memory.Lose()
		w.lost = w.now()
		w.server++
	case restore:
		before := w.memory.Snapshot()
		again(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err := w.memory.Restore(before); err != nil {
				w.violateLocked("restore", "%v", err)
			}
			w.lost = w.now()
			w.server++
			w.logLocked("The remote tier is RESTORED as it was %v ago", it.For)
		})
	case downtime:
		w.down[remote] = until
	case busLose:
		w.hub.Restart()
	case busDown:
		w.down[bus] = until
		again(w.hub.Cut)
	case forget:
		w.hub.Reach(0)
		again(func() { w.hub.Reach(membus.DefaultReach) })
	case evict:
		w.work.Go(func() { w.evict(it.key()) })
	default:
		return false
	}
	w.logLocked("FAULT %s N%d k%d for %v", it.Op, n.id, it.Key, it.For)
	return true
}

// evict drops what the remote tier holds at key, if that may be evicted.
func (w *world) evict(key string) {
	remoteKey := "sim/1/{" + key + "}"
	ctx := context.Background()
	h, _, ok := record.Parse(w.root.Get(ctx, remoteKey)[0].Record)
	if ok && h.Kind != record.Fence {
		w.root.Write(ctx, driver.Op{Key: remoteKey, Step: record.Step{Verb: record.Remove, Expect: h.Token}})
	}
}

// heal ends all faults but crashes.
func (w *world) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = [2]time.Duration{}
	for _, n := range w.nodes {
		n.paused, n.cut, n.hole = 0, [2]time.Duration{}, 0
		if n.life != nil {
			n.life.ear.drop, n.life.ear.swap, n.life.ear.repeat = 0, 0, 0
		}
	}
	w.logLocked("HEALED")
}
