package tier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/memjournal"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// ledger is a source that takes batches, keeps versions, and notes what it was told. While it is shut nothing is written.
type ledger struct {
	*tiertest.Source[int, string]

	mu       sync.Mutex
	versions map[int]uint64
	told     []policy.Change[int, string]
	refuse   func(policy.Change[int, string]) error
	opened   chan struct{} // closed: nothing waits
}

func newLedger(values map[int]string) *ledger {
	l := &ledger{Source: sourceOf(values), versions: map[int]uint64{}}
	l.open()
	return l
}

// shut makes all writes wait, until open.
func (l *ledger) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = make(chan struct{})
}

func (l *ledger) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		l.opened = make(chan struct{})
	}
	select {
	case <-l.opened:
	default:
		close(l.opened)
	}
}

// refusing makes f say what is not written.
func (l *ledger) refusing(f func(policy.Change[int, string]) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = f
}

func (l *ledger) StoreMany(ctx context.Context, changes []policy.Change[int, string]) error {
	l.mu.Lock()
	opened := l.opened
	l.mu.Unlock()
	select {
	case <-opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ch := range changes {
		if l.refuse != nil {
			if err := l.refuse(ch); err != nil {
				return err
			}
		}
	}
	for _, ch := range changes {
		l.told = append(l.told, ch)
		if ch.Version <= l.versions[ch.Key] {
			continue
		}
		l.versions[ch.Key] = ch.Version
		if ch.Delete {
			l.Remove(ch.Key)
		} else {
			l.Put(ch.Key, ch.Value)
		}
	}
	return nil
}

// of returns what the source was told of key.
func (l *ledger) of(key int) (told []policy.Change[int, string]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(func(yield func(policy.Change[int, string]) bool) {
		for _, ch := range l.told {
			if ch.Key == key && !yield(ch) {
				return
			}
		}
	})
}

// A backScene is a scene whose nodes write behind.
type backScene struct {
	*scene
	ledger *ledger
	events *events
}

type events struct {
	mu  sync.Mutex
	all []tier.Event
}

func (e *events) add(ev tier.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) count(kind tier.EventKind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

// playBehind makes a scene whose nodes share a journal, or have one each; wrap, if not nil, is put around that of node a.
func playBehind(t *testing.T, shared bool, o journal.Options, wrap func(journal.Journal) journal.Journal, do func(s *backScene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &backScene{scene: &scene{T: t, env: tiertest.New(t), faults: new(faults)}, events: new(events)}
		s.ledger = newLedger(map[int]string{1: "old", 2: "old", 3: "old"})
		s.source = s.ledger.Source
		hub := memjournal.NewHub()
		node := func(wrap func(journal.Journal) journal.Journal) *cache {
			j := memjournal.New()
			if shared {
				j = hub.Journal()
			}
			t.Cleanup(func() { must(t, j.Close()) })
			if wrap != nil {
				j = wrap(j)
			}
			return tiertest.Node(t, s.env, "c", &options{
				Policy: policy.WriteBehind[int, string](s.ledger, j, &o), LocalCost: 1 << 20, NegativeTTL: time.Minute, OnEvent: s.events.add,
			})
		}
		s.a, s.b = node(wrap), node(nil)
		s.rest(5 * time.Second) // until the nodes are trusted
		do(s)
	})
}

// depth is how many writes of node c are pending.
func (s *backScene) depth(c *cache) int {
	s.Helper()
	b, err := c.Backlog(s.Context())
	must(s, err)
	return b.Depth
}

func TestWhatASharedJournalAcceptedAllNodesReadBeforeTheSourceHasIt(t *testing.T) {
	t.Parallel()
	playBehind(t, true, journal.Options{}, nil, func(s *backScene) {
		s.ledger.shut()
		want(s, s.b, 1, "old")
		must(s, s.a.Set(s.Context(), 1, "new"))
		s.rest(0)
		s.settled("new")
		if v := s.source.Values()[1]; v != "old" {
			s.Fatalf("the source has %q already", v)
		}
		if n := s.depth(s.b); n != 1 {
			s.Errorf("%d pending", n)
		}
		s.evict()
		for _, c := range []*cache{s.a, s.b} {
			if r, err := c.Lookup(s.Context(), 1, tier.SkipLocalRead()); err != nil || r.Value != "new" || r.Version == 0 {
				s.Errorf("after the remote tier forgot it: %+v, %v", r, err)
			}
		}
		s.ledger.open()
		s.rest(time.Second)
		if v := s.source.Values()[1]; v != "new" || s.depth(s.a) != 0 {
			s.Errorf("the source has %q, and %d are pending", v, s.depth(s.a))
		}
		s.evict()
		want(s, s.b, 1, "new")
	})
}

func TestWhatAJournalOfItsOwnAcceptedTheNodeReadsAtOnceAndTheOthersWhenItIsWritten(t *testing.T) {
	t.Parallel()
	playBehind(t, false, journal.Options{}, nil, func(s *backScene) {
		s.ledger.shut()
		must(s, s.a.Invalidate(s.Context(), 1)) // there have been epochs
		want(s, s.b, 1, "old")
		writes := s.env.Remote.Writes()
		must(s, s.a.Set(s.Context(), 1, "new"))
		if n := s.env.Remote.Writes() - writes; n != 0 {
			s.Errorf("%d round trips to the remote tier", n)
		}
		if r, err := s.a.Lookup(s.Context(), 1); err != nil || r.Value != "new" || r.Tier != tier.Local || r.Version == 0 {
			s.Errorf("%+v, %v", r, err)
		}
		if v, err := s.a.Get(s.Context(), 1, tier.SkipLocalRead()); v != "new" || err != nil {
			s.Errorf("without the local tier: %q, %v", v, err)
		}
		if v, ok, err := s.a.Peek(s.Context(), 1, tier.SkipLocalRead()); v != "new" || !ok || err != nil {
			s.Errorf("Peek: %q, %v, %v", v, ok, err)
		}
		if e := s.a.GetMany(s.Context(), []int{2, 1}, tier.SkipLocalRead()); e[1].Value != "new" || e[0].Value != "old" {
			s.Errorf("GetMany: %+v", e)
		}
		if v, err := s.a.Get(s.Context(), 1, tier.Fresh()); v != "new" || err != nil {
			s.Errorf("Fresh: %q, %v", v, err)
		}
		want(s, s.b, 1, "old")
		s.ledger.open()
		s.rest(time.Second)
		s.settled("new")
		if v := s.source.Values()[1]; v != "new" || s.depth(s.a) != 0 {
			s.Errorf("the source has %q, and %d are pending", v, s.depth(s.a))
		}
		if r, err := s.b.Lookup(s.Context(), 1, tier.SkipLocalRead()); err != nil || r.Tier != tier.Remote || r.Version == 0 {
			s.Errorf("%+v, %v", r, err)
		}
	})
}

func TestADeletionIsPendingAsAValueIs(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			t.Parallel()
			playBehind(t, shared, journal.Options{}, nil, func(s *backScene) {
				s.ledger.shut()
				must(s, s.a.Set(s.Context(), 1, "new"))
				must(s, s.a.Delete(s.Context(), 1))
				s.rest(0)
				for _, o := range [][]tier.Option{nil, {tier.SkipLocalRead()}} {
					_, err := s.a.Get(s.Context(), 1, o...)
					wantErr(s, err, tier.ErrNotFound)
				}
				if shared {
					_, err := s.b.Get(s.Context(), 1)
					wantErr(s, err, tier.ErrNotFound)
				}
				s.ledger.open()
				s.rest(time.Second)
				for _, c := range []*cache{s.a, s.b} {
					_, err := c.Get(s.Context(), 1)
					wantErr(s, err, tier.ErrNotFound)
				}
				told := s.ledger.of(1)
				if _, ok := s.source.Values()[1]; ok || len(told) == 0 || !told[len(told)-1].Delete {
					s.Errorf("the source was told %+v", told)
				}
			})
		})
	}
}

func TestWritesOfAKeyReachTheSourceInOrderAndMerged(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			t.Parallel()
			playBehind(t, shared, journal.Options{}, nil, func(s *backScene) {
				s.ledger.shut()
				for i := range 100 {
					must(s, s.a.Set(s.Context(), 1, fmt.Sprint(i)))
				}
				must(s, s.a.SetMany(s.Context(), map[int]string{2: "two", 3: "three"}))
				stats, err := s.a.Backlog(s.Context())
				must(s, err)
				if stats.Depth != 3 || stats.Merged < 98 {
					s.Errorf("%+v", stats)
				}
				s.ledger.open()
				s.rest(time.Second)
				told := s.ledger.of(1)
				if len(told) > 2 || !slices.IsSortedFunc(told, func(x, y policy.Change[int, string]) int { return int(x.Version) - int(y.Version) }) {
					s.Errorf("%+v", told)
				}
				if v := s.source.Values(); v[1] != "99" || v[2] != "two" || v[3] != "three" {
					s.Errorf("the source has %v", v)
				}
				if st := s.a.Stats(); st.Accepted != 102 || st.Flushed == 0 && s.b.Stats().Flushed == 0 {
					s.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestCloseDrainsOrSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table, j := newLedger(nil), memjournal.New()
		defer j.Close()
		node := func() *cache {
			c, err := tier.New("c", &options{Policy: policy.WriteBehind[int, string](table, j, &journal.Options{DrainTimeout: 3 * time.Second})})
			must(t, err)
			return c
		}
		c := node()
		table.shut()
		must(t, c.SetMany(t.Context(), map[int]string{1: "a", 2: "b"}))
		began := time.Now()
		err := c.Close()
		if u, ok := errors.AsType[*tier.UndrainedError](err); !ok || u.Pending != 2 || u.Cache != "c" || u.Journal != j.String() {
			t.Fatalf("%v", err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if again := c.Close(); again == nil || again.Error() != err.Error() {
			t.Errorf("the second Close: %v", again)
		}
		wantErr(t, c.Set(t.Context(), 1, "late"), tier.ErrClosed)

		c = node()
		want(t, c, 1, "a")
		table.open()
		must(t, c.Set(t.Context(), 3, "c"))
		must(t, c.Close())
		if v := table.Values(); v[1] != "a" || v[2] != "b" || v[3] != "c" {
			t.Errorf("the source has %v", v)
		}
	})
}

func TestABacklogIsThatOfAJournal(t *testing.T) {
	t.Parallel()
	c := open(t, &options{})
	_, err := c.Backlog(t.Context())
	wantErr(t, err, tier.ErrUnsupported)
	_, err = tier.New("c", &options{Policy: policy.WriteBehind[int, string](newLedger(nil), nil, &journal.Options{TakeOver: 1})})
	for _, what := range []string{"needs a journal", "TakeOver 1ns"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v does not say %q", err, what)
		}
	}
}

func TestADrainDoesNotWaitForADelayOrAPauseAfterFailures(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]bool{"a delay": false, "a pause": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				table, j := newLedger(nil), memjournal.New()
				defer j.Close()
				c, err := tier.New("c", &options{Policy: policy.WriteBehind[int, string](table, j, &journal.Options{
					Workers: 1, Delay: time.Hour, MinBackoff: time.Hour, MaxBackoff: time.Hour, DrainTimeout: time.Minute,
				})})
				must(t, err)
				must(t, c.Set(t.Context(), 1, "a"))
				synctest.Wait() // a batch that is not full
				if failing {
					time.Sleep(2 * time.Hour)
					table.refusing(func(policy.Change[int, string]) error { return errors.New("it is down") })
				}
				must(t, c.Set(t.Context(), 2, "b"))
				time.Sleep(2 * time.Second)
				if _, ok := table.Values()[2]; ok {
					t.Fatal("it is written already")
				}
				table.refusing(nil)
				began := time.Now()
				must(t, c.Close())
				if took := time.Since(began); took > time.Second || table.Values()[2] != "b" {
					t.Errorf("it took %v, and the source has %v", took, table.Values())
				}
			})
		})
	}
}
