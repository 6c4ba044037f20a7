package invalidation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// simLog is a log that fails as a seed says. One node hears it, and the test itself publishes for the others.
type simLog struct {
	random  *rand.Rand
	head    Position
	frames  map[uint64][]byte // of the incarnation, those kept
	pending []Delivery        // on their way to the node
	refuse  bool              // the next replay fails
	ever    []Delivery        // all that was ever published
}

var errSim = errors.New("the log fails as it was told to")

func (l *simLog) append(frame []byte) Position {
	l.head.N++
	l.frames[l.head.N] = frame
	l.pending = append(l.pending, Delivery{Kind: Frame, Position: l.head, Frame: frame})
	l.ever = append(l.ever, l.pending[len(l.pending)-1])
	return l.head
}

func (l *simLog) Publish(_ context.Context, frames [][]byte) (Position, error) {
	for _, frame := range frames {
		l.append(frame)
	}
	return l.head, nil
}

func (l *simLog) Replay(_ context.Context, after Position, through uint64) (frames [][]byte, err error) {
	if l.refuse {
		l.refuse = false
		return nil, errSim
	}
	if after.Incarnation != l.head.Incarnation {
		return nil, ErrGone
	}
	for n := after.N + 1; n <= through; n++ {
		if l.frames[n] == nil {
			return nil, ErrGone
		}
		frames = append(frames, l.frames[n])
	}
	return frames, nil
}

func (l *simLog) Hint(context.Context, []byte) error        { return nil }
func (l *simLog) Receive(context.Context) (Delivery, error) { return Delivery{}, errSim }
func (l *simLog) Reconnect()                                {}
func (l *simLog) Close() error                              { return nil }
func (l *simLog) chance(percent int) bool                   { return l.random.IntN(100) < percent }
func (l *simLog) subscribe()                                { l.pending = []Delivery{{Kind: Subscribed, Position: l.head}} }
func (l *simLog) holds(after, through uint64) (all bool) {
	for n := after + 1; n <= through; n++ {
		if l.frames[n] == nil {
			return false
		}
	}
	return true
}

// simNode is the handler, and the judge.
type simNode struct {
	published map[string]time.Time // announcements, until they are applied or excused by a flush
	flushed   string               // the reason of a flush since the last look
	trusts    int
	heard     []string // all keys, and reasons of flushes
	bad       string
}

func (n *simNode) Apply(_ Position, _ bool, m Message) {
	delete(n.published, m.Keys[0])
	n.heard = append(n.heard, m.Keys[0])
}

func (n *simNode) Flush(reason string) {
	clear(n.published)
	n.flushed = reason
	n.heard = append(n.heard, reason)
}

func (n *simNode) Trust(sent time.Time) {
	n.trusts++
	for key, at := range n.published {
		if at.Before(sent) {
			n.bad = fmt.Sprintf("trusted as of %v after %s was announced, which was not applied", sent.Sub(at), key)
		}
	}
}

// simulate plays one seed. It returns how often the node trusted, caught up, and flushed for what it could not have again. With a
// ring a stranger plays, too: what was published it publishes again, wherever it likes. Time passes, so it must be a bubble's.
func simulate(seed uint64, ring *Keyring) (trusts, replays, flushes int, bad string) {
	l := &simLog{random: rand.New(rand.NewPCG(seed, 1)), frames: map[uint64][]byte{}}
	l.head.Incarnation[0] = 1
	b := newBus(l, &Options{Keys: ring})
	defer b.cancel()
	other := newBus(&simLog{}, &Options{Keys: ring})
	defer other.cancel()
	other.transport = l
	node := &simNode{published: map[string]time.Time{}}
	if _, err := b.Attach("c", "", time.Second, node); err != nil {
		return 0, 0, 0, err.Error()
	}
	w := &watcher{caches: []string{"c"}, ready: make(chan struct{}, 1)}
	b.watchers.add(w)
	var t tracker
	l.subscribe()
	lives, announced := byte(1), 0
	// Who forges positions on a transport that loses frames without a word makes a node take one for the other. There is none such
	// among those that strata brings.
	stranger := ring != nil
	lossy := !stranger || seed%2 == 0
	snapshot := l.head
	pass := func() {
		if ring != nil {
			time.Sleep(time.Millisecond)
		}
	}
	for range 120 {
		switch {
		case l.chance(30):
			pass()
			announced++
			key := fmt.Sprint(announced)
			node.published[key] = time.Now()
			p := packer{node: other.node}
			p.add(Message{Verb: VerbInvalidate, Cache: "c", Keys: []string{key}})
			p.flush()
			if _, err := other.append(context.Background(), p.frames); err != nil {
				return 0, 0, 0, err.Error()
			}
		case ring != nil && l.chance(6):
			time.Sleep(time.Duration(l.random.IntN(20)) * time.Second)
			_, _, _ = other.beat(context.Background())
		case stranger && l.chance(10) && len(l.ever) > 0:
			d := l.ever[l.random.IntN(len(l.ever))]
			if lossy || l.chance(30) {
				l.append(d.Frame)
				break
			}
			if l.chance(50) {
				d.Position = t.at
			}
			d.Position.N += uint64(l.random.IntN(4))
			l.pending = append(l.pending, d)
		case l.chance(20):
			pass()
			_, _, _ = b.beat(context.Background())
		case lossy && l.chance(6) && len(l.pending) > 0: // lost on its way; a subscription is not, but ends in another
			if i := l.random.IntN(len(l.pending)); l.pending[i].Kind == Frame {
				l.pending = append(l.pending[:i:i], l.pending[i+1:]...)
			}
		case lossy && l.chance(4) && len(l.pending) > 0: // damaged on its way
			if i := l.random.IntN(len(l.pending)); l.pending[i].Kind == Frame {
				l.pending[i].Frame = []byte("?")
			}
		case l.chance(3): // twice on its way
			if len(l.pending) > 0 && l.pending[0].Kind == Frame {
				l.pending = append([]Delivery{l.pending[0]}, l.pending...)
			}
		case l.chance(5):
			l.subscribe()
		case l.chance(2): // the log forgets
			delete(l.frames, l.head.N-uint64(l.random.IntN(6)))
		case l.chance(2):
			l.refuse = true
		case l.chance(1): // the server restarts, with what it had at some time, and grows again
			lives++
			if l.head = snapshot; l.chance(50) {
				l.head.N, l.frames = 0, map[uint64][]byte{}
			}
			l.head.Incarnation[0] = lives
			for n := range l.frames {
				delete(l.frames, n) // what it keeps is of another incarnation
			}
			l.subscribe()
		case l.chance(5):
			snapshot = l.head
		}
		for l.chance(60) && len(l.pending) > 0 {
			d := l.pending[0]
			l.pending = l.pending[1:]
			before, refused := t, l.refuse
			node.flushed = ""
			b.deliver(&t, d)
			if node.bad != "" {
				return 0, 0, 0, node.bad
			}
			if node.flushed == "" || node.flushed == FlushIncarnation || !before.subscribed {
				continue
			}
			flushes++
			through := d.Position.N
			if d.Kind == Frame {
				through--
			}
			if d.Position.Incarnation == l.head.Incarnation && d.Position.N > l.head.N {
				return 0, 0, 0, fmt.Sprintf("flushed for %q at %v, which the log at %v never had", node.flushed, d.Position, l.head)
			}
			if !refused && l.holds(before.at.N, through) && d.Position.Incarnation == l.head.Incarnation {
				return 0, 0, 0, fmt.Sprintf("flushed for %q at %v, where the log reaches from %v", node.flushed, d.Position, before.at)
			}
		}
	}
	var told []string
	for _, change := range w.take() {
		told = append(append(told, change.Keys...), change.Missed)
	}
	told = slices.DeleteFunc(told, func(what string) bool { return what == "" })
	if !slices.Equal(told, node.heard) {
		return 0, 0, 0, fmt.Sprintf("a watcher was told %v, the cache %v", told, node.heard)
	}
	return node.trusts, int(b.count.replays.Load()), flushes, ""
}

func TestSimulatedNodesAreNeverTrustedForWhatTheyMissedNorFlushedForWhatTheyCanHave(t *testing.T) {
	t.Parallel()
	k, err := ParseKey("k", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := NewKeyring(k)
	if err != nil {
		t.Fatal(err)
	}
	play := func(t *testing.T, ring *Keyring, seeds uint64) {
		var trusts, replays, flushes int
		for seed := range seeds {
			moreTrusts, moreReplays, moreFlushes, bad := simulate(seed, ring)
			if bad != "" {
				t.Fatalf("seed %d: %s", seed, bad)
			}
			trusts, replays, flushes = trusts+moreTrusts, replays+moreReplays, flushes+moreFlushes
		}
		t.Logf("%d heartbeats trusted, %d replays, %d flushes for what was gone", trusts, replays, flushes)
		if n := int(seeds); trusts < n || replays < n || flushes < n/10 {
			t.Errorf("the simulation hardly does anything: %d trusts, %d replays, %d flushes", trusts, replays, flushes)
		}
	}
	t.Run("without a key", func(t *testing.T) {
		t.Parallel()
		play(t, nil, 10_000)
	})
	t.Run("with a key and a stranger", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { play(t, ring, 1_000) })
	})
}
