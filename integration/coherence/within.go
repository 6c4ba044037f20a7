package coherence

import (
	"context"
	"sync"
	"time"

	"github.com/strata-cache/strata/integration/coherence/node"
)

// pendingWrites are writes whose commits the source holds: their fences stand.
type pendingWrites struct {
	holds []*hold
	begun bool // all of them
	all   sync.WaitGroup
	errs  []error // of the writes, after all
}

// beginWrites makes the first node of a scene begin to write its keys, and lets the source hold the commits. With a patience the node
// does not wait for longer, and then does not know what became of them.
func (s *scene) beginWrites(ctx context.Context, patience time.Duration) *pendingWrites {
	w := &pendingWrites{holds: make([]*hold, len(s.keys)), errs: make([]error, len(s.keys)), begun: true}
	for i, key := range s.keys {
		w.holds[i] = s.source.holdCommit(key)
		w.all.Go(func() { // ends with the reply, or with the node
			_, w.errs[i] = s.a.get().ask(ctx, node.Request{Write: &node.Write{Key: key, Verb: node.BeginWrite, Patience: patience}})
		})
	}
	w.begun = allBegan(w.holds)
	return w
}

// release lets the source commit, and waits for the writers.
func (w *pendingWrites) release() {
	for _, h := range w.holds {
		close(h.release)
	}
	w.all.Wait()
}

// allBegan waits, not for long, until the source has what it is to hold.
func allBegan(holds []*hold) bool {
	timeout := time.NewTimer(2 * time.Second)
	defer timeout.Stop()
	for _, h := range holds {
		select {
		case <-h.began:
		case <-timeout.C:
			return false
		}
	}
	return true
}

func straddleWrite(ctx context.Context, p *playing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second+p.MaxStaleness)
	defer cancel()
	s, free := p.setScene(ctx, func(*seat) bool { return true })
	if s == nil {
		return nil
	}
	defer free()
	w := s.beginWrites(ctx, 0)
	loads := make([]*hold, len(s.keys))
	for i, key := range s.keys {
		loads[i] = p.source.hold(key)
		s.ask(ctx, s.b, read(key))
	}
	begun := w.begun && allBegan(loads)
	w.release()
	for _, err := range w.errs {
		s.missed(err)
	}
	if begun {
		sleep(ctx, p.MaxStaleness+50*time.Millisecond)
		for _, key := range s.keys {
			s.ask(ctx, s.b, read(key)) // it must not join the load that is under way
		}
		sleep(ctx, 30*time.Millisecond)
	}
	for _, h := range loads {
		close(h.release)
	}
	s.wait()
	if !begun {
		s.from = 0
	}
	return s.done()
}

func unknownOutcome(ctx context.Context, p *playing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	s, free := p.setScene(ctx, func(*seat) bool { return true })
	if s == nil {
		return nil
	}
	defer free()
	w := s.beginWrites(ctx, 200*time.Millisecond)
	w.all.Wait() // without an answer
	for range 3 {
		for _, key := range s.keys {
			s.ask(ctx, s.b, read(key))
		}
		s.wait()
		sleep(ctx, 20*time.Millisecond)
	}
	w.release()
	s.look(ctx, time.Now())
	if !w.begun {
		s.from = 0
	}
	return s.done()
}

func dieWriting(ctx context.Context, p *playing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	s, free := p.setScene(ctx, func(s *seat) bool { return node.Refuses(s.number) })
	if s == nil {
		return nil
	}
	defer free()
	ask := func() {
		for _, seat := range s.seats {
			if seat == s.a || seat == s.b {
				s.ask(ctx, seat, read(s.keys...))
			}
		}
	}
	ask()
	if !s.wait() {
		return s.done()
	}
	w := s.beginWrites(ctx, 0)
	for i, key := range s.keys {
		if w.begun && i%2 == 1 {
			s.ask(ctx, s.b, write(key)) // which must leave the fence
		}
	}
	s.wait()
	for range 3 {
		s.ask(ctx, s.b, read(s.keys...))
	}
	s.wait()
	p.died(s.a.get().process)
	s.a.get().kill()
	w.release()
	if w.begun {
		p.promise(s.keys)
	} else {
		s.from = 0
	}
	if err := p.revive(ctx, s.a); err != nil {
		return err
	}
	s.look(ctx, time.Now())
	return s.done()
}
