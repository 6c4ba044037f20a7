package invalidationtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/strata-cache/strata/invalidation"
)

// a testCase is a name, the sentence, and what proves it.
type testCase struct {
	name string
	must string
	run  func(s *suite)
}

// cases is the specification; that of abilities is in registerCases and replayCases.
var cases = []testCase{
	{"subscribed first", "begin with a Subscribed delivery that carries the log's head", subscribedFirst},
	{"echo", "deliver to a node what it published itself, and with the position that Publish returned", echo},
	{"order", "deliver the frames of all publishers to all nodes in one order, without a gap", order},
	{"several frames", "append the frames of one Publish next to each other and return the position of the last", severalFrames},
	{"late subscriber", "give a later subscriber the head, and what is published after it", lateSubscriber},
	{"incarnation", "keep the incarnation while the log lives, the same for every node", incarnation},
	{"hints", "deliver hints to the others without a position, and let them take none in the log", hints},
	{"any bytes", "carry frames of any bytes, up to MaxFrame", anyBytes},
	{"cut", "begin anew with Subscribed after its subscription was cut, at a head that includes what was missed", cut},
	{"reconnect", "begin anew with Subscribed after Reconnect", reconnect},
	{"cancel", "return from Receive and Publish at once when the context ends, with its error, and go on working", cancelled},
	{"close", "return ErrClosed from a Receive that waits when it is closed", closing},
}

func frame(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }

func subscribedFirst(s *suite) {
	a, at := s.subscribed()
	if at.Incarnation == (invalidation.Incarnation{}) {
		s.Error("the incarnation is zero")
	}
	p := s.publish(a, frame("one"))
	if p.Incarnation != at.Incarnation || p.N != at.N+1 {
		s.Errorf("the first frame after the head %v is at %v", at, p)
	}
}

func echo(s *suite) {
	a, at := s.subscribed()
	for i := range 20 {
		p := s.publish(a, frame("echo %d", i))
		if at = s.wantFrames(a, at, frame("echo %d", i)); at != p {
			s.Fatalf("delivered at %v, Publish said %v", at, p)
		}
	}
}

func order(s *suite) {
	const publishers, each = 4, 50
	nodes := make([]invalidation.Transport, publishers)
	heads := make([]invalidation.Position, publishers)
	for i := range nodes {
		nodes[i], heads[i] = s.subscribed()
	}
	var work sync.WaitGroup
	for i, node := range nodes {
		work.Go(func() {
			for k := range each {
				if _, err := node.Publish(s.Context(), [][]byte{frame("%d of %d", k, i)}); err != nil {
					s.Errorf("Publish: %v", err)
					return
				}
			}
		})
	}
	work.Wait()
	if s.Failed() {
		return
	}
	var first [][]byte
	for i, node := range nodes {
		var seen [][]byte
		last, next := heads[i], make([]int, publishers)
		for len(seen) < publishers*each {
			d := s.receive(node)
			if d.Kind != invalidation.Frame || d.Position.N != last.N+1 || d.Position.Incarnation != last.Incarnation {
				s.Fatalf("node %d: got %s after %v", i, show(d), last)
			}
			var k, by int
			if _, err := fmt.Sscanf(string(d.Frame), "%d of %d", &k, &by); err != nil || next[by] != k {
				s.Fatalf("node %d: got %s, want number %d of its publisher", i, show(d), next[by])
			}
			next[by]++
			last = d.Position
			seen = append(seen, d.Frame)
		}
		if i == 0 {
			first = seen
		}
		if !bytes.Equal(bytes.Join(first, nil), bytes.Join(seen, nil)) {
			s.Fatalf("nodes 0 and %d saw different orders", i)
		}
	}
}

func severalFrames(s *suite) {
	a, at := s.subscribed()
	b, _ := s.subscribed()
	frames := [][]byte{frame("first"), frame("second"), frame("third")}
	p := s.publish(a, frames...)
	if p.N != at.N+3 || p.Incarnation != at.Incarnation {
		s.Errorf("three frames after %v: the last is at %v", at, p)
	}
	s.wantFrames(b, at, frames...)
}

func lateSubscriber(s *suite) {
	a, _ := s.subscribed()
	p := s.publish(a, frame("before"), frame("before too"))
	b, at := s.subscribed()
	if at != p {
		s.Errorf("the late subscriber's head is %v, want %v", at, p)
	}
	s.publish(a, frame("after"))
	s.wantFrames(b, at, frame("after"))
}

func incarnation(s *suite) {
	a, first := s.subscribed()
	for range 3 {
		p := s.publish(a, frame("x"))
		_, at := s.subscribed()
		if p.Incarnation != first.Incarnation || at.Incarnation != first.Incarnation {
			s.Fatalf("the incarnation changed: %v, then %v and %v", first, p, at)
		}
	}
}

func hints(s *suite) {
	a, at := s.subscribed()
	b, _ := s.subscribed()
	if err := a.Hint(s.Context(), frame("look")); err != nil {
		s.Fatalf("Hint: %v", err)
	}
	if d := s.receive(b); d.Kind != invalidation.Hint || string(d.Frame) != "look" || !d.Position.IsZero() {
		s.Fatalf("got %s, want the hint, without a position", show(d))
	}
	s.publish(a, frame("entry"))
	s.wantFrames(b, at, frame("entry"))
}

func anyBytes(s *suite) {
	a, at := s.subscribed()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	largest := bytes.Repeat([]byte{0xff}, invalidation.MaxFrame)
	s.publish(a, all, largest)
	s.wantFrames(a, at, all, largest)
}

func cut(s *suite) {
	if s.h.Cut == nil {
		s.Skip("this transport has no subscription that could be cut")
	}
	a, _ := s.subscribed()
	b, _ := s.subscribed()
	s.h.Cut(s.T)
	p := s.publishUntil(a, frame("missed or not"))
	at := s.wantSubscribed(b)
	if at.Incarnation != p.Incarnation {
		s.Fatalf("another incarnation after a cut: %v, then %v", p, at)
	}
	next := s.publishUntil(a, frame("afterwards"))
	if at.N < p.N { // subscribed before that publish, so it must be delivered
		at = s.wantFrames(b, at, frame("missed or not"))
	}
	if got := s.wantFrames(b, at, frame("afterwards")); got != next {
		s.Errorf("delivered at %v, Publish said %v", got, next)
	}
}

func reconnect(s *suite) {
	a, _ := s.subscribed()
	p := s.publish(a, frame("before"))
	a.Reconnect()
	d := s.receive(a)
	for d.Kind == invalidation.Frame { // what was on its way
		d = s.receive(a)
	}
	if d.Kind != invalidation.Subscribed || d.Position != p {
		s.Fatalf("got %s, want Subscribed at %v", show(d), p)
	}
	s.publish(a, frame("after"))
	s.wantFrames(a, d.Position, frame("after"))
}

func cancelled(s *suite) {
	a, at := s.subscribed()
	ctx, cancel := context.WithCancel(s.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := a.Receive(ctx)
		failed <- err
	}()
	s.promptly("a cancelled Receive", func() {
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			s.Errorf("a cancelled Receive returned %v, want context.Canceled", err)
		}
	})
	s.promptly("a Publish cancelled before", func() {
		if _, err := a.Publish(ctx, [][]byte{frame("never")}); !errors.Is(err, context.Canceled) {
			s.Errorf("a cancelled Publish returned %v, want context.Canceled", err)
		}
	})
	s.publish(a, frame("still works"))
	s.wantFrames(a, at, frame("still works"))
}

func closing(s *suite) {
	a := s.h.Transport(s.T)
	s.wantSubscribed(a)
	failed := make(chan error, 1)
	go func() {
		_, err := a.Receive(s.Context())
		failed <- err
	}()
	s.promptly("Close", func() {
		if err := a.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
		if err := <-failed; !errors.Is(err, invalidation.ErrClosed) {
			s.Errorf("a Receive under way returned %v, want ErrClosed", err)
		}
	})
}
