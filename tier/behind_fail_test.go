package tier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/memjournal"
	"github.com/strata-cache/strata/tier"
)

// shaky is a journal that a test breaks.
type shaky struct {
	journal.Journal
	appends atomic.Pointer[error] // what Append says instead, nothing being accepted
	lost    atomic.Bool           // what Append says came after the write was accepted
	asks    atomic.Pointer[error] // what Pending says instead
}

type shakyQueue struct {
	journal.Queue
	j *shaky
}

func (j *shaky) Open(name string, o journal.Options) (journal.Queue, error) {
	q, err := j.Journal.Open(name, o)
	return &shakyQueue{q, j}, err
}

func (q *shakyQueue) Append(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
	err := q.j.appends.Load()
	if err == nil {
		return q.Queue.Append(ctx, within, writes)
	}
	if q.j.lost.Load() {
		q.Queue.Append(ctx, within, writes)
	}
	receipts := make([]journal.Receipt, len(writes))
	for i := range receipts {
		receipts[i].Err = *err
	}
	return receipts
}

func (q *shakyQueue) Pending(ctx context.Context, keys []string) ([]journal.Entry, error) {
	if err := q.j.asks.Load(); err != nil {
		return nil, *err
	}
	return q.Queue.Pending(ctx, keys)
}

// playShaky is playBehind with a journal of node a that a test breaks.
func playShaky(t *testing.T, shared bool, o journal.Options, do func(s *backScene, j *shaky)) {
	t.Helper()
	j := new(shaky)
	playBehind(t, shared, o, func(inner journal.Journal) journal.Journal { j.Journal = inner; return j }, func(s *backScene) { do(s, j) })
}

func TestWhatAJournalDoesNotAcceptIsNotWritten(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			t.Parallel()
			playShaky(t, shared, journal.Options{}, func(s *backScene, j *shaky) {
				down := errors.Join(journal.ErrUnavailable, journal.ErrNotWritten)
				j.appends.Store(&down)
				err := s.a.Set(s.Context(), 1, "new")
				wantErr(s, err, tier.ErrUnavailable)
				if e, ok := errors.AsType[*tier.Error](err); !ok || e.Tier != "journal" || e.Op != "set" {
					s.Errorf("%#v", err)
				}
				wantErr(s, s.a.Delete(s.Context(), 2), tier.ErrUnavailable)
				s.rest(0)
				if k := s.kind(); k == record.Fence {
					s.Errorf("a %v is left", k)
				}
				s.settled("old")
				s.rest(time.Minute)
				if v := s.source.Values(); len(s.ledger.of(1)) != 0 || v[2] != "old" {
					s.Errorf("the source was told %v", s.ledger.told)
				}
			})
		})
	}
}

func TestAWriteThatWasPerhapsAcceptedIsReadAsTheJournalHasItInTheEnd(t *testing.T) {
	t.Parallel()
	for _, landed := range []bool{true, false} {
		t.Run(fmt.Sprintf("landed=%v", landed), func(t *testing.T) {
			t.Parallel()
			playShaky(t, true, journal.Options{}, func(s *backScene, j *shaky) {
				want(s, s.b, 1, "old")
				s.ledger.shut()
				reset := errors.New("the connection was reset")
				j.appends.Store(&reset)
				j.lost.Store(landed)
				wantErr(s, s.a.Set(s.Context(), 1, "new"), reset)
				s.rest(0)
				if k := s.kind(); k != record.Fence {
					s.Errorf("no fence, but a %v", k)
				}
				v := map[bool]string{true: "new", false: "old"}[landed]
				s.settled(v)
				s.ledger.open()
				s.rest(time.Minute)
				s.settled(v)
				if got := s.source.Values()[1]; got != v {
					s.Errorf("the source has %q", got)
				}
				if k := s.kind(); k != record.Value {
					s.Errorf("a %v is left", k)
				}
			})
		})
	}
}

func TestALoadFailsWhileNobodyKnowsWhatIsPending(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			t.Parallel()
			playShaky(t, shared, journal.Options{}, func(s *backScene, j *shaky) {
				want(s, s.a, 2, "old")
				down := fmt.Errorf("the journal: %w", journal.ErrUnavailable)
				j.asks.Store(&down)
				_, err := s.a.Get(s.Context(), 1)
				wantErr(s, err, tier.ErrUnavailable)
				if e, ok := errors.AsType[*tier.Error](err); !ok || e.Tier != "journal" || strings.Contains(err.Error(), "source") {
					s.Errorf("%v", err)
				}
				if e := s.a.GetMany(s.Context(), []int{1, 2}); !errors.Is(e[0].Err, tier.ErrUnavailable) || e[1].Value != "old" {
					s.Errorf("%+v", e)
				}
				j.asks.Store(nil)
				want(s, s.a, 1, "old")
			})
		})
	}
}

func TestWhatTheSourceDoesNotTakeIsADeadLetterThatNobodyReads(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			t.Parallel()
			playBehind(t, shared, journal.Options{MaxAttempts: 3, Workers: 1}, nil, func(s *backScene) {
				s.ledger.refusing(func(ch policy.Change[int, string]) error {
					if ch.Value == "bad" {
						return fmt.Errorf("a constraint: %w", policy.ErrRejected)
					}
					return nil
				})
				s.ledger.shut()
				writes := map[int]string{1: "bad"}
				for k := 2; k < 100; k++ {
					writes[k] = "good"
				}
				must(s, s.a.SetMany(s.Context(), writes))
				want(s, s.a, 1, "bad") // accepted
				s.ledger.open()
				s.rest(10 * time.Second)
				s.settled("old")
				for k, v := range s.source.Values() {
					if want := writes[k]; k != 1 && v != want {
						s.Errorf("the source has %q at %d", v, k)
					}
				}
				b, err := s.a.Backlog(s.Context())
				must(s, err)
				if b.Depth != 0 || b.Dead != 1 || s.events.count(tier.EventDeadLetter) != 1 || s.events.count(tier.EventUnwritten) != 3 {
					s.Errorf("%+v, %d and %d events", b, s.events.count(tier.EventDeadLetter), s.events.count(tier.EventUnwritten))
				}
				if st := s.a.Stats(); st.DeadLetters+s.b.Stats().DeadLetters != 1 {
					s.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestWhileTheSourceIsDownNothingBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]error{
		"nobody knows":       errors.New("the connection was reset"),
		"it says it is down": fmt.Errorf("no connection: %w", policy.ErrNotWritten),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playBehind(t, false, journal.Options{MaxAttempts: 1, MaxBackoff: time.Second}, nil, func(s *backScene) {
				s.ledger.refusing(func(policy.Change[int, string]) error { return down })
				for k := range 20 {
					must(s, s.a.Set(s.Context(), k, "new"))
				}
				s.rest(10 * time.Minute)
				if b, err := s.a.Backlog(s.Context()); err != nil || b.Depth != 20 || b.Dead != 0 {
					s.Fatalf("%+v, %v", b, err)
				}
				s.ledger.refusing(nil)
				s.rest(10 * time.Second)
				if b, err := s.a.Backlog(s.Context()); err != nil || b.Depth != 0 || b.Dead != 0 || s.source.Values()[19] != "new" {
					s.Errorf("%+v, %v", b, err)
				}
			})
		})
	}
}

// A source that fails at one write, and does not say that it never takes it, may be down: only that others succeed says more.
func TestAWriteThatFailsWithoutAWordIsADeadLetterOnlyWhereOthersSucceed(t *testing.T) {
	t.Parallel()
	playBehind(t, false, journal.Options{MaxAttempts: 3, MaxBackoff: time.Second}, nil, func(s *backScene) {
		s.ledger.refusing(func(ch policy.Change[int, string]) error {
			if ch.Key == 1 {
				return errors.New("it does not work")
			}
			return nil
		})
		must(s, s.a.SetMany(s.Context(), map[int]string{1: "bad", 2: "new", 3: "new"}))
		s.rest(10 * time.Minute)
		if b, err := s.a.Backlog(s.Context()); err != nil || b.Depth != 1 || b.Dead != 0 || s.source.Values()[2] != "new" {
			s.Fatalf("%+v, %v, the source has %v", b, err, s.source.Values())
		}
		for range 10 {
			must(s, s.a.Set(s.Context(), 2, "newer"))
			s.rest(2 * time.Second)
		}
		if b, err := s.a.Backlog(s.Context()); err != nil || b.Depth != 0 || b.Dead != 1 {
			s.Errorf("%+v, %v", b, err)
		}
		s.settled("old")
	})
}

func TestCloseEndsAWriteThatWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table, j := newLedger(nil), memjournal.New()
		defer j.Close()
		c, err := tier.New("c", &options{Policy: policy.WriteBehind[int, string](table, j, &journal.Options{Bound: 1, DrainTimeout: time.Minute})})
		must(t, err)
		table.shut()
		must(t, c.Set(t.Context(), 1, "a"))
		set := make(chan error, 1)
		go func() { set <- c.Set(context.Background(), 2, "b") }()
		time.Sleep(time.Second)
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		err = <-set
		wantErr(t, err, tier.ErrClosed)
		wantErr(t, err, tier.ErrNotWritten)
		table.open()
		must(t, <-closed)
		if v := table.Values(); v[1] != "a" || len(v) != 1 {
			t.Errorf("the source has %v", v)
		}
	})
}

func TestAFullJournalBlocksFailsOrSheds(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{true, false} {
		for _, full := range []journal.Full{journal.Block, journal.Fail, journal.Shed} {
			t.Run(fmt.Sprintf("shared=%v, %v", shared, full), func(t *testing.T) {
				t.Parallel()
				playBehind(t, shared, journal.Options{Bound: 2, WhenFull: full}, nil, func(s *backScene) {
					s.ledger.shut()
					must(s, s.a.Set(s.Context(), 2, "new"))
					must(s, s.a.Set(s.Context(), 3, "new"))
					must(s, s.a.Set(s.Context(), 3, "newer")) // it takes no room
					switch full {
					case journal.Block:
						ctx, cancel := context.WithTimeout(s.Context(), time.Second)
						defer cancel()
						err := s.a.Set(ctx, 1, "new")
						wantErr(s, err, context.DeadlineExceeded)
						wantErr(s, err, tier.ErrNotWritten)
						set := make(chan error, 1)
						go func() { set <- s.a.Set(s.Context(), 1, "new") }()
						s.rest(time.Second)
						select {
						case err := <-set:
							s.Errorf("it does not wait: %v", err)
						default:
						}
						s.ledger.open()
						must(s, <-set)
						s.rest(time.Second)
						s.settled("new")
					case journal.Fail:
						wantErr(s, s.a.Set(s.Context(), 1, "new"), tier.ErrJournalFull)
						s.settled("old")
					case journal.Shed:
						must(s, s.a.Set(s.Context(), 1, "new"))
						s.settled("old")
						if n := s.a.Stats().Shed; n != 1 {
							s.Errorf("%d shed", n)
						}
					}
					s.ledger.open()
					s.rest(time.Second)
					if v := s.source.Values(); v[2] != "new" || v[3] != "newer" {
						s.Errorf("the source has %v", v)
					}
				})
			})
		}
	}
}
