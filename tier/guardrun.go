package tier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
)

// noticed is what this node has done about the last rewind that it saw.
type noticed struct {
	through invalidation.Position
	since   time.Duration
	deleted bool // what only this node may have heard
}

// run is the goroutine that settles, writes testimonies and vouches. event is told of what people should know.
func (g *guard) run(event func(error)) {
	defer close(g.done)
	failing := false
	for g.ctx.Err() == nil {
		var told, err error
		if !weaken.Off(weaken.Guard) {
			told, err = g.step(g.ctx)
		}
		if told != nil {
			event(told)
		}
		if err != nil && g.ctx.Err() == nil && !failing {
			event(fmt.Errorf("the guard against older data: %w", err))
		}
		failing = err != nil
		timer := time.NewTimer(g.tick)
		select {
		case <-g.ctx.Done():
		case <-timer.C:
		case <-g.poke:
		}
		timer.Stop()
	}
}

// step does what is due, and returns what people should know.
func (g *guard) step(ctx context.Context) (told, err error) {
	v := g.view.Load()
	if !v.settled {
		found := g.store.Get(ctx, g.key)[0]
		if found.Err != nil {
			return nil, found.Err
		}
		if told, err = g.settle(ctx, found.Record); err != nil {
			return told, err
		}
		if v = g.view.Load(); !v.settled {
			g.wake() // the server changed meanwhile
			return told, nil
		}
	}
	if v.t.Rewind != nil {
		vouched, err := g.attend(ctx, v)
		if vouched != nil || err != nil {
			return errors.Join(told, vouched), err
		}
	}
	if err := g.pulse(ctx, v); err != nil || !v.t.open() || g.view.Load() != v {
		return told, err
	}
	found := g.store.Get(ctx, g.key)[0] // somebody else may have vouched
	if found.Err == nil {
		_, found.Err = g.settle(ctx, found.Record)
	}
	return told, found.Err
}

// settle finds or makes the testimony of the present life. found is the record that stands there.
func (g *guard) settle(ctx context.Context, found []byte) (told, err error) {
	for range guardTries {
		life, lives := g.present()
		t, token, ok := readTestimony(found, g.key)
		if ok && t.covers(lives) {
			g.adopt(life, t, token)
			return told, nil
		}
		// Where the log is now, after the server's life began: nothing that an earlier one took in was announced later, but
		// by writers who repeat it.
		head, err := g.bus.Head(ctx)
		if err != nil {
			return nil, err
		}
		switch v := g.view.Load(); {
		case ok:
			t = t.rewound(lives, head)
			told = t.explain()
		case v.settled && v.life == life: // it was evicted, or deleted by hand
			t = v.t
			t.Sure = place{}
		default:
			t = firstTestimony(lives, head)
		}
		e, next := g.write(ctx, token, &t)
		switch {
		case e.Err != nil:
			return nil, e.Err
		case e.Outcome != driver.Done:
			found, told = e.Found, nil
		case g.adopt(life, t, next):
			return told, nil
		default:
			return nil, nil // another server meanwhile
		}
	}
	return nil, errors.New("the testimony changes faster than it can be read")
}

// write puts t in the place of the record that a token names, the zero token standing for nothing, and returns its token.
func (g *guard) write(ctx context.Context, over record.Token, t *testimony) (driver.Effect, record.Token) {
	b, token := t.record(g.key)
	step := record.Step{Verb: record.Swap, Expect: over, Record: b, TTL: testimonyTTL}
	if over.IsZero() {
		step.Verb = record.Add
	}
	return g.store.Write(ctx, driver.Op{Key: g.key, Step: step})[0], token
}

// replace puts t in the place of the view's testimony.
func (g *guard) replace(ctx context.Context, v *view, t testimony) (done bool, err error) {
	e, token := g.write(ctx, v.token, &t)
	switch {
	case e.Err != nil:
		return false, e.Err
	case e.Outcome != driver.Done:
		_, err := g.settle(ctx, e.Found)
		return false, err
	}
	return g.adopt(v.life, t, token), nil
}

// pulse writes how far the server has come, after this node announced something, twice, as the second vouches for the first;
// after the bus began another life; and now and then.
func (g *guard) pulse(ctx context.Context, v *view) error {
	t, p := v.t, g.bus.Position()
	if !p.IsZero() && !t.current(p.Incarnation) {
		head, err := g.bus.Head(ctx) // the present one surely, as t was read before
		if err != nil || t.current(head.Incarnation) {
			return err
		}
		_, err = g.replace(ctx, v, t.during(head.Incarnation).pulsed(head))
		return err
	}
	if !t.Sure.IsZero() && mono.Now()-v.at < idleTicks*g.tick {
		announced := g.announced.Load()
		if announced == nil {
			return nil
		}
		p = *announced
	}
	if p.IsZero() || !t.current(p.Incarnation) || !t.before(t.Sure.Position, p) {
		return nil
	}
	if !t.before(t.Upto.Position, p) {
		p = t.Upto.Position
	}
	_, err := g.replace(ctx, v, t.pulsed(p))
	return err
}

// attend does about a rewind what this node can: it deletes again what it knows to have been announced meanwhile, and vouches
// for the rest if nobody can know of more.
func (g *guard) attend(ctx context.Context, v *view) (told, err error) {
	r := v.t.Rewind
	if g.noticed.through != r.Through.Position {
		g.noticed = noticed{through: r.Through.Position, since: mono.Now()}
	}
	if r.Vouched && r.Through.Incarnation == r.After.Incarnation {
		return nil, nil // whoever vouched had heard everything
	}
	a := g.heard.recount(r)
	if a.all { // by tags, say: nobody knows which keys
		if t := v.t.floored(); t.before(v.t.Floor.Position, t.Floor.Position) {
			_, err := g.replace(ctx, v, t)
			return t.explain(), err
		}
		return nil, nil
	}
	if a.own && !g.noticed.deleted {
		if err := g.delete(ctx, a.keys); err != nil {
			return nil, err
		}
		if err := g.tell(ctx, a.keys); err != nil { // if it was too late
			return nil, err
		}
		g.noticed.deleted = true
	}
	wait := slack
	if a.own {
		wait = g.patience
	}
	if r.Vouched || !a.own && !a.whole || mono.Now() < g.noticed.since+wait {
		return nil, nil
	}
	head, err := g.bus.Head(ctx)
	if err != nil {
		return nil, err
	}
	if a.whole {
		if !g.reached(ctx, head) {
			return nil, nil // later
		}
		if a = g.heard.recount(r); !a.whole {
			return nil, nil
		}
		if err := g.delete(ctx, a.keys); err != nil {
			return nil, err
		}
	}
	if g.view.Load() != v {
		return nil, nil // perhaps another server meanwhile
	}
	done, err := g.replace(ctx, v, v.t.vouched(head))
	if !done {
		return nil, err
	}
	return fmt.Errorf("the remote tier has lost nothing now up to %v: %d keys were deleted again", r.Through, len(a.keys)), nil
}

// reached waits, not for long, until this node has applied all up to p.
func (g *guard) reached(ctx context.Context, p invalidation.Position) bool {
	ctx, cancel := context.WithTimeout(ctx, g.tick)
	defer cancel()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for g.bus.Position().Before(p) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
	order, ok := g.bus.Position().Compare(p)
	return ok && order >= 0
}

// deletions is how many keys are deleted again at once.
const deletions = 256

// delete empties keys at the remote tier, but for fences.
func (g *guard) delete(ctx context.Context, keys []string) error {
	for len(keys) > 0 {
		n := min(len(keys), deletions)
		ops := make([]driver.Op, n)
		for i, key := range keys[:n] {
			ops[i] = driver.Op{Key: key, Step: record.Step{Verb: record.Delete}}
		}
		for _, e := range g.store.Write(ctx, ops...) {
			if e.Err != nil {
				return e.Err
			}
		}
		keys = keys[n:]
	}
	return nil
}

// explain says what t means for the cache.
func (t *testimony) explain() error {
	if t.open() {
		return fmt.Errorf("the remote tier may have lost what was announced after %v: until that is made good, what was loaded before %v is not used",
			t.Rewind.After, t.Rewind.Through)
	}
	return fmt.Errorf("the remote tier has lost nobody knows how much: what was loaded before %v is not used again", t.Floor)
}
