package coherence

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/strata-cache/strata/integration/coherence/node"
	"github.com/strata-cache/strata/internal/fault/wire"
)

// perScript is how many keys a script plays with at a time.
const perScript = 8

// scripts make happen what random load hardly does: that a write falls into the middle of something slow.
func scripts() []fault {
	return []fault{
		{name: "straddle-load", about: "a load is under way, the key is written within it, and read at once", lane: laneScripts, lasts: 2 * p1, play: straddleLoad},
		{name: "straddle-reply", about: "the remote tier's answer to a node is under way, and the key is written within it", lane: laneScripts, lasts: 2 * p1, play: straddleReply},
		{name: "straddle-own", about: "a node reads a key while its own write of it is slow to reach the remote tier", lane: laneScripts, lasts: p1, play: straddleOwn},
		{name: "straddle-write", about: "a load begins between BeginWrite and Commit, and the key is read again when the bound is over", lane: laneScripts, lasts: 2 * p1, play: straddleWrite},
		{name: "unknown-outcome", about: "the source gives no answer to a write, all read the key then, and the source has it after all", lane: laneScripts, lasts: 2 * p1, play: unknownOutcome},
		{name: "die-writing", about: "a node is killed between BeginWrite and Commit, all read the key then, some invalidate it, and what it wrote counts after its death", lane: laneScripts, lasts: p1, play: dieWriting},
	}
}

// keys takes keys that nobody has used.
func (p *playing) keys() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nextKey+perScript > p.Traffic.Keys+scriptKeys {
		p.nextKey = p.Traffic.Keys // all are used: again from the first
	}
	keys := make([]int, perScript)
	for i := range keys {
		keys[i] = p.nextKey
		p.nextKey++
	}
	return keys
}

// A scene is two nodes and some keys.
type scene struct {
	*playing
	a, b *seat
	keys []int
	all  sync.WaitGroup // of what goes on at a time

	mu  sync.Mutex
	err error // guarded by mu: what did not work, mostly because something else goes wrong too
}

// setScene locks two nodes, the first of which fits.
func (p *playing) setScene(ctx context.Context, fits func(*seat) bool) (*scene, func()) {
	a, freeA := p.lock(ctx, fits)
	if a == nil {
		return nil, nil
	}
	b, freeB := p.lock(ctx, func(*seat) bool { return true })
	if b == nil {
		freeA()
		return nil, nil
	}
	p.begin("nodes %d and %d", a.number+1, b.number+1)
	return &scene{playing: p, a: a, b: b, keys: p.keys()}, func() { freeB(); freeA() }
}

// ask asks a node something, at the same time as other things.
func (s *scene) ask(ctx context.Context, at *seat, r node.Request) {
	s.all.Go(func() { // ends with the reply or ctx; joined by wait
		if _, err := at.get().ask(ctx, r); err != nil {
			s.missed(err)
		}
	})
}

// missed notes that a step did not work.
func (s *scene) missed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

// wait waits for all that was asked, and reports whether it worked.
func (s *scene) wait() bool {
	s.all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil
}

// done ends a script. One in which a step failed, for whatever else goes wrong, does not count.
func (s *scene) done() error {
	if !s.wait() {
		s.from = 0
	}
	return nil
}

func read(keys ...int) node.Request { return node.Request{Read: &node.Read{Keys: keys}} }

func write(key int) node.Request {
	return node.Request{Write: &node.Write{Key: key, Verb: node.Invalidate}}
}

// look lets all nodes read the keys again and again until the bound is over.
func (s *scene) look(ctx context.Context, from time.Time) {
	s.all.Wait()
	for until := from.Add(s.MaxStaleness + 200*time.Millisecond); time.Now().Before(until) && ctx.Err() == nil; {
		var reading sync.WaitGroup
		for _, seat := range s.seats {
			reading.Go(func() { _, _ = seat.get().ask(ctx, read(s.keys...)) }) // recorded; joined below
		}
		reading.Wait()
		sleep(ctx, 25*time.Millisecond)
	}
}

func straddleLoad(ctx context.Context, p *playing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	s, free := p.setScene(ctx, func(s *seat) bool { return s.bus != nil })
	if s == nil {
		return nil
	}
	defer free()
	variant := p.count(p.fault.name) % 3
	writer := s.b
	switch variant {
	case 0:
		p.target += ", the first of which does not hear the second"
	case 1:
		writer = s.a
	}
	holds := make([]*hold, len(s.keys))
	for i, key := range s.keys {
		holds[i] = p.source.hold(key)
		s.ask(ctx, s.a, read(key))
	}
	begun := allBegan(holds)
	if begun {
		if variant == 0 {
			s.a.bus.proxy.Set(wire.Fault{Hang: true}, wire.ToClient)
		}
		var writing sync.WaitGroup
		for i, key := range s.keys {
			writing.Go(func() { // ends with the reply; joined below
				if _, err := writer.get().ask(ctx, write(key)); err != nil {
					s.missed(err)
					return
				}
				if i%2 == 0 {
					s.ask(ctx, s.a, read(key)) // it must not join the load that is under way
				}
			})
		}
		writing.Wait()
		sleep(ctx, time.Duration(p.rand.IntN(30))*time.Millisecond)
	}
	for _, h := range holds {
		close(h.release)
	}
	released := time.Now()
	if variant == 0 {
		sleep(ctx, 50*time.Millisecond)
		if err := s.a.bus.proxy.Heal(); err != nil {
			return err
		}
	}
	s.look(ctx, released)
	if !begun {
		s.from = 0
	}
	return s.done()
}

func straddleReply(ctx context.Context, p *playing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	s, free := p.setScene(ctx, func(s *seat) bool { return s.bus != nil })
	if s == nil {
		return nil
	}
	defer free()
	for _, key := range s.keys {
		s.ask(ctx, s.b, read(key)) // so that the remote tier has it, and the first node does not
	}
	if !s.wait() {
		return s.done()
	}
	proxy := s.a.backend.proxy
	proxy.Set(wire.Fault{Hang: true}, wire.ToClient)
	for _, key := range s.keys {
		s.ask(ctx, s.a, read(key))
	}
	sleep(ctx, 30*time.Millisecond)
	var writing sync.WaitGroup
	for _, key := range s.keys {
		writing.Go(func() { // ends with the reply; joined below
			if _, err := s.b.get().ask(ctx, write(key)); err != nil {
				s.missed(err)
			}
		})
	}
	writing.Wait()
	sleep(ctx, time.Duration(20+p.rand.IntN(50))*time.Millisecond)
	if err := proxy.Heal(); err != nil {
		return err
	}
	s.look(ctx, time.Now())
	return s.done()
}

func straddleOwn(ctx context.Context, p *playing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	s, free := p.setScene(ctx, func(*seat) bool { return true })
	if s == nil {
		return nil
	}
	defer free()
	for _, key := range s.keys {
		s.ask(ctx, s.a, read(key))
	}
	if !s.wait() {
		return s.done()
	}
	proxy, parity := s.a.backend.proxy, p.rand.IntN(2)
	proxy.Set(wire.Fault{Delay: 60 * time.Millisecond, Only: func(conn int) bool { return conn%2 == parity }}, wire.ToServer)
	for _, key := range s.keys {
		s.ask(ctx, s.a, write(key))
	}
	for range 20 {
		for _, key := range s.keys {
			s.ask(ctx, s.a, read(key))
		}
		sleep(ctx, 4*time.Millisecond)
	}
	if err := proxy.Heal(); err != nil {
		return err
	}
	if s.wait() {
		for range 5 {
			s.ask(ctx, s.a, read(s.keys...))
		}
	}
	return s.done()
}
