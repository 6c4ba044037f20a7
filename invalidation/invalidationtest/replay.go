package invalidationtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

// replayCases is the specification of replays.
var replayCases = []testCase{
	{"replays are declared", "give frames again if its harness says so, and else not pretend to", replaysDeclared},
	{"replay", "give exactly the frames between two positions again, in the order of the log", replay},
	{"replay any bytes", "give any bytes again, up to MaxFrame", replayAnyBytes},
	{"replay register", "give again the frame that announced a change of a register", replayRegister},
	{"replay gone", "answer what the log does not hold with ErrGone, and never with a part of it", replayGone},
	{"replay forgotten", "answer what the log has forgotten with ErrGone", replayForgotten},
	{"replay lost", "never give again what is of a log that was lost, however far the next one has come", replayLost},
	{"replay restored", "never give again what is of another incarnation, though the data are the same", replayRestored},
	{"replay while publishing", "give again what is complete while others publish, or ErrGone", replayRace},
	{"replay outage", "answer an outage with ErrUnavailable", replayOutage},
	{"replay cancel", "return from Replay at once when the context ends, with its error", replayCancelled},
	{"cut of a bus", "spare a node that was cut off a flush, and bring it what it missed", cutOfABus},
}

// replayer opens a transport, or skips where it cannot replay, and returns it with the head of the log.
func (s *suite) replayer() (invalidation.Transport, invalidation.Replayer, invalidation.Position) {
	s.Helper()
	if !s.h.Replays {
		s.Skip("this transport cannot replay")
	}
	t, at := s.subscribed()
	return t, t.(invalidation.Replayer), at
}

// wantReplay asks for the frames after a position up to another.
func (s *suite) wantReplay(r invalidation.Replayer, after invalidation.Position, through uint64, want ...[]byte) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	frames, err := r.Replay(ctx, after, through)
	if err != nil {
		s.Fatalf("Replay after %v through %d: %v", after, through, err)
	}
	if len(frames) != len(want) {
		s.Fatalf("Replay after %v through %d: %d frames, want %d", after, through, len(frames), len(want))
	}
	for i, frame := range frames {
		if !bytes.Equal(frame, want[i]) {
			s.Fatalf("Replay after %v through %d: frame %d is %.40q, want %.40q", after, through, i, frame, want[i])
		}
	}
}

func (s *suite) wantGone(what string, r invalidation.Replayer, after invalidation.Position, through uint64) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for {
		frames, err := r.Replay(ctx, after, through)
		if errors.Is(err, invalidation.ErrUnavailable) { // a connection that died with the server
			pause(ctx)
			continue
		}
		if len(frames) > 0 || !errors.Is(err, invalidation.ErrGone) {
			s.Errorf("%s: Replay after %v through %d: %d frames, %v; want ErrGone", what, after, through, len(frames), err)
		}
		return
	}
}

func replaysDeclared(s *suite) {
	t := s.open()
	if _, can := t.(invalidation.Replayer); can != s.h.Replays {
		s.Errorf("%T is a Replayer: %t, and the harness says %t", t, can, s.h.Replays)
	}
}

func replay(s *suite) {
	a, r, at := s.replayer()
	var frames [][]byte
	for i := range 10 {
		both := [][]byte{frame("%d", i), frame("%d and a half", i)}
		s.publish(a, both...)
		frames = append(frames, both...)
	}
	_, other, head := s.replayer()
	if want := at.N + uint64(len(frames)); head.N != want {
		s.Fatalf("the head is %v, want %d", head, want)
	}
	for from := range frames {
		for to := from + 1; to <= len(frames); to += 3 {
			after := invalidation.Position{Incarnation: at.Incarnation, N: at.N + uint64(from)}
			s.wantReplay(r, after, at.N+uint64(to), frames[from:to]...)
			s.wantReplay(other, after, at.N+uint64(to), frames[from:to]...)
		}
	}
}

func replayAnyBytes(s *suite) {
	a, r, at := s.replayer()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	largest := bytes.Repeat([]byte{0xff}, invalidation.MaxFrame)
	p := s.publish(a, all, largest, []byte{0})
	s.wantReplay(r, at, p.N, all, largest, []byte{0})
}

func replayRegister(s *suite) {
	a, r, at := s.replayer()
	_, keeper := s.registrar()
	s.publish(a, frame("before"))
	if _, written, err := keeper.WriteRegister(s.Context(), pool, invalidation.RegisterWrite{Frame: frame("changed")}); err != nil || !written {
		s.Fatalf("WriteRegister: %t, %v", written, err)
	}
	p := s.publish(a, frame("after"))
	s.wantReplay(r, at, p.N, frame("before"), frame("changed"), frame("after"))
}

func replayGone(s *suite) {
	a, r, at := s.replayer()
	p := s.publish(a, frame("1"), frame("2"), frame("3"))
	s.wantGone("beyond the head", r, at, p.N+1)
	s.wantGone("all beyond the head", r, p, p.N+1)
	s.wantGone("another incarnation", r, invalidation.Position{Incarnation: invalidation.Incarnation{1}, N: at.N}, p.N)
	s.wantReplay(r, at, p.N, frame("1"), frame("2"), frame("3"))
}

func replayForgotten(s *suite) {
	a, r, at := s.replayer()
	if s.h.Forget == nil {
		s.Skip("this log cannot be made to forget")
	}
	p := s.publish(a, frame("1"), frame("2"))
	s.h.Forget(s.T)
	s.wantGone("forgotten", r, at, p.N)
	last := s.publish(a, frame("3"), frame("4"))
	s.wantGone("forgotten, and gone on", r, at, last.N)
	s.wantGone("forgotten in part", r, invalidation.Position{Incarnation: p.Incarnation, N: p.N - 1}, last.N)
	s.wantReplay(r, p, last.N, frame("3"), frame("4"))
}

func replayLost(s *suite) {
	a, r, at := s.replayer()
	if s.h.Lose == nil {
		s.Skip("this transport's server cannot lose its data")
	}
	s.publish(a, frame("1"), frame("2"))
	s.h.Lose(s.T)
	for p := (invalidation.Position{}); p.N < at.N+4; {
		p = s.publishUntil(a, frame("of another log"))
	}
	s.wantGone("a log that fell back and grew again", r, at, at.N+2)
}

func replayRestored(s *suite) {
	a, r, at := s.replayer()
	if s.h.Restart == nil {
		s.Skip("this transport's server has no data after a restart")
	}
	p := s.publish(a, frame("1"), frame("2"))
	s.h.Restart(s.T)
	s.wantGone("after a restart", r, at, p.N)
	after := s.publishUntil(a, frame("3"))
	if after.Incarnation == at.Incarnation {
		s.Fatalf("the same incarnation after a restart")
	}
	s.wantGone("the old incarnation, grown", r, at, p.N)
	if after.N > p.N { // the count went on; else every position below is of this incarnation
		s.wantGone("the new incarnation from before its beginning", r, invalidation.Position{Incarnation: after.Incarnation, N: at.N}, after.N)
	}
	s.wantReplay(r, invalidation.Position{Incarnation: after.Incarnation, N: after.N - 1}, after.N, frame("3"))
}

func replayRace(s *suite) {
	a, r, at := s.replayer()
	ctx, stop := context.WithCancel(s.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	for by := range 2 {
		work.Go(func() {
			for k := 0; ctx.Err() == nil; k++ { // an error is that of a busy machine, and leaves as much in the log as it leaves
				_, _ = a.Publish(ctx, [][]byte{frame("%d of %d", k, by), frame("%d of %d", k, by)})
			}
		})
	}
	for range 50 {
		p := s.publishUntil(a, frame("mark"))
		after := invalidation.Position{Incarnation: at.Incarnation, N: max(at.N, p.N-min(p.N, 100))}
		frames, err := r.Replay(s.Context(), after, p.N)
		if errors.Is(err, invalidation.ErrGone) || errors.Is(err, invalidation.ErrUnavailable) {
			continue
		}
		if err != nil || uint64(len(frames)) != p.N-after.N || string(frames[len(frames)-1]) != "mark" {
			s.Fatalf("Replay after %v through %d: %d frames, %v", after, p.N, len(frames), err)
		}
	}
}

func replayOutage(s *suite) {
	a, r, at := s.replayer()
	if s.h.Stop == nil {
		s.Skip("this transport cannot be made unreachable")
	}
	p := s.publish(a, frame("1"))
	s.h.Stop(s.T)
	if frames, err := r.Replay(s.Context(), at, p.N); frames != nil || !errors.Is(err, invalidation.ErrUnavailable) {
		s.Errorf("Replay: %d frames, %v; want ErrUnavailable", len(frames), err)
	}
}

func replayCancelled(s *suite) {
	a, r, at := s.replayer()
	p := s.publish(a, frame("1"))
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	s.promptly("a Replay cancelled before", func() {
		if _, err := r.Replay(ctx, at, p.N); !errors.Is(err, context.Canceled) {
			s.Errorf("a cancelled Replay returned %v, want context.Canceled", err)
		}
	})
	s.wantReplay(r, at, p.N, frame("1"))
}

// listener is a cache that notes what it hears.
type listener struct {
	mu      sync.Mutex
	keys    []string
	flushes []string
	trusted time.Time
}

func (l *listener) Apply(_ invalidation.Position, _ bool, m invalidation.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = append(l.keys, m.Keys...)
}

func (l *listener) Flush(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushes = append(l.flushes, reason)
}

func (l *listener) Trust(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trusted = sent
}

func cutOfABus(s *suite) {
	if !s.h.Replays || s.h.Cut == nil {
		s.Skip("this transport cannot replay, or cannot be cut")
	}
	open := func() (*listener, *invalidation.Attachment) {
		bus := invalidation.New(s.h.Transport(s.T), nil)
		s.Cleanup(func() {
			if err := bus.Close(); err != nil {
				s.Errorf("Close: %v", err)
			}
		})
		l := &listener{}
		a, err := bus.Attach("c", "", time.Second, l)
		if err != nil {
			s.Fatalf("Attach: %v", err)
		}
		return l, a
	}
	_, a := open()
	heard, b := open()
	await := func(what string, done func() bool) {
		s.Helper()
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		defer cancel()
		for {
			heard.mu.Lock()
			ok := done()
			heard.mu.Unlock()
			if ok {
				return
			}
			if ctx.Err() != nil {
				s.Fatalf("waited in vain for %s: at %v heard %q, flushes %v", what, b.Position(), heard.keys, heard.flushes)
			}
			pause(ctx)
		}
	}
	trusted := func() {
		s.Helper()
		since := time.Now()
		await("trust", func() bool { return heard.trusted.After(since) })
	}
	trusted()
	heard.mu.Lock()
	before := len(heard.flushes)
	heard.mu.Unlock()
	const cuts = 5
	for i := range cuts {
		s.h.Cut(s.T)
		m := invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: []string{string(rune('a' + i))}}
		for _, err := a.Announce(s.Context(), m); err != nil; _, err = a.Announce(s.Context(), m) {
			if !errors.Is(err, invalidation.ErrUnavailable) {
				s.Fatalf("Announce: %v", err)
			}
		}
	}
	await("all that was announced", func() bool { return slices.Contains(heard.keys, string(rune('a'+cuts-1))) })
	trusted()
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if got := strings.Join(slices.Compact(heard.keys), ""); got != "abcde" || len(heard.flushes) != before {
		s.Errorf("heard %q, flushes %v; want abcde and no flush but the first", got, heard.flushes)
	}
}
