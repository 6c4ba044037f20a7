package tier_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// step does one step at key 1 of the cache c, as another node would.
func step(t *testing.T, env *tiertest.Env, s record.Step) {
	t.Helper()
	if e := env.Store.Write(t.Context(), driver.Op{Key: "c/1/{1}", Step: s})[0]; e.Outcome != driver.Done {
		t.Fatalf("%v: %v, %v", s.Verb, e.Outcome, e.Err)
	}
}

// leaseOfAnother puts a lease at key 1 of the cache c, and returns its token.
func leaseOfAnother(t *testing.T, env *tiertest.Env) record.Token {
	t.Helper()
	token := record.NewToken()
	lease := record.New(record.Header{Kind: record.Lease, Token: token, Expiry: time.Now().Add(5 * time.Second)}, nil)
	step(t, env, record.Step{Verb: record.Add, Record: lease, TTL: 5 * time.Second})
	return token
}

func TestWhoWaitedThroughAnInvalidationKeepsWhatItLoadsAfterIt(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		release := s.Block()
		first := getBehind(t, a)
		must(t, s.AwaitLoads(t.Context(), 1))
		second := getBehind(t, b)
		time.Sleep(time.Second) // of the bubble
		s.Put(1, "new")
		must(t, a.Invalidate(t.Context(), 1))
		must(t, s.AwaitLoads(t.Context(), 2)) // it is b's turn
		release()
		<-first
		if g := <-second; g.value != "new" {
			t.Fatalf("who waited got %+v", g)
		}
		if r, _ := b.Lookup(t.Context(), 1); r.Value != "new" || r.Tier != tier.Local {
			t.Errorf("%q comes from %v", r.Value, r.Tier)
		}
		if r, _ := a.Lookup(t.Context(), 1); r.Value != "new" || r.Tier != tier.Remote {
			t.Errorf("on the other node %q comes from %v", r.Value, r.Tier)
		}
	})
}

func TestAFenceThatWasThereDoesNotShortenTheWaitAtALease(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		writer := record.NewToken()
		step(t, env, record.Step{Verb: record.Place, Expect: writer, TTL: 5 * time.Second})
		read := getBehind(t, a)
		time.Sleep(10 * time.Millisecond) // of the bubble
		step(t, env, record.Step{Verb: record.Leave, Expect: writer})
		lease := leaseOfAnother(t, env)
		time.Sleep(time.Second) // of the bubble
		if n := s.Loads(); n != 0 {
			t.Errorf("%d loads beside the one of the lease", n)
		}
		step(t, env, record.Step{Verb: record.Remove, Expect: lease})
		if g := <-read; g.value != "v" || g.err != nil {
			t.Errorf("%+v", g)
		}
		if n := a.Stats().Fenced; n != 0 {
			t.Errorf("%d reads of the source because of a fence", n)
		}
	})
}

// muddled is a driver whose writes do what a test makes of them.
type muddled struct {
	*tiertest.Remote
	write atomic.Pointer[func(ctx context.Context, ops []driver.Op) []driver.Effect]
}

func (m *muddled) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	if f := m.write.Swap(nil); f != nil {
		return (*f)(ctx, ops)
	}
	return m.Remote.Write(ctx, ops)
}

func unknown(ops []driver.Op, err error) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	for i := range effects {
		effects[i].Err = err
	}
	return effects
}

func TestALeaseWhoseFateIsUnknownIsGivenBack(t *testing.T) {
	t.Parallel()
	type write = func(ctx context.Context, ops []driver.Op) []driver.Effect
	for name, do := range map[string]func(t *testing.T, m *muddled, a *cache){
		"an answer that was lost": func(t *testing.T, m *muddled, a *cache) {
			f := write(func(ctx context.Context, ops []driver.Op) []driver.Effect {
				m.Remote.Write(ctx, ops)
				return unknown(ops, tier.ErrUnavailable)
			})
			m.write.Store(&f)
			want(t, a, 1, "v")
		},
		"a reader that left while it took the lease": func(t *testing.T, m *muddled, a *cache) {
			ctx, leave := context.WithCancel(t.Context())
			f := write(func(flight context.Context, ops []driver.Op) []driver.Effect {
				m.Remote.Write(flight, ops)
				leave()
				<-flight.Done()
				return unknown(ops, flight.Err())
			})
			m.write.Store(&f)
			_, err := a.Get(ctx, 1)
			wantErr(t, err, context.Canceled)
		},
		"a reader of many that left while it took the leases": func(t *testing.T, m *muddled, a *cache) {
			ctx, leave := context.WithCancel(t.Context())
			f := write(func(batch context.Context, ops []driver.Op) []driver.Effect {
				m.Remote.Write(batch, ops)
				leave()
				return unknown(ops, batch.Err())
			})
			m.write.Store(&f)
			for _, e := range a.GetMany(ctx, []int{1, 2}) {
				wantErr(t, e.Err, context.Canceled)
			}
		},
		"a reader that left while the value was stored": func(t *testing.T, m *muddled, a *cache) {
			ctx, leave := context.WithCancel(t.Context())
			f := write(func(flight context.Context, ops []driver.Op) []driver.Effect { // nothing of it happens
				leave()
				<-flight.Done()
				return unknown(ops, flight.Err())
			})
			_, err := a.GetOrLoad(ctx, 1, func(context.Context, int) (string, error) {
				m.write.Store(&f)
				return "v", nil
			})
			wantErr(t, err, context.Canceled)
		},
		"a reader that left while the lease was given back": func(t *testing.T, m *muddled, a *cache) {
			ctx, leave := context.WithCancel(t.Context())
			f := write(func(flight context.Context, ops []driver.Op) []driver.Effect { // nothing of it happens
				leave()
				<-flight.Done()
				return unknown(ops, flight.Err())
			})
			_, err := a.GetOrLoad(ctx, 1, func(context.Context, int) (string, error) {
				m.write.Store(&f)
				return "", tier.ErrNotFound
			})
			wantErr(t, err, context.Canceled)
		},
		"a loader that ends its goroutine": func(t *testing.T, _ *muddled, a *cache) {
			_, err := a.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { runtime.Goexit(); return "", nil })
			if err == nil {
				t.Error("no error")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				env, s := tiertest.New(t), sourceOf(map[int]string{1: "v", 2: "w"})
				m := &muddled{Remote: env.Remote}
				a := tiertest.Node(t, env, "c", &options{Remote: backend.New(m), Policy: aside(s)})
				b := tiertest.Node(t, env, "c", &options{Policy: aside(s)})
				time.Sleep(time.Minute)                              // of the bubble
				if _, _, err := b.Peek(t.Context(), 3); err != nil { // makes the record of markers
					t.Error(err)
				}
				do(t, m, a)
				synctest.Wait()
				if r := at(t, env); r != nil {
					t.Errorf("the remote tier has %d bytes", len(r))
				}
				if g := <-getBehind(t, b); g.value != "v" || g.took != 0 {
					t.Errorf("%+v, want v at once", g)
				}
			})
		})
	}
}

func TestALoaderIsNotReplacedByAReadWithoutOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, store := newHooked(t)
		gate, held := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		h.afterGet = func([]string, []driver.Result) {
			if first.CompareAndSwap(false, true) {
				close(held)
				<-gate
			}
		}
		c := open(t, &options{Remote: store})
		read := getBehind(t, c)
		<-held
		v, err := c.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { return "loaded", nil })
		if v != "loaded" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		close(gate)
		wantErr(t, (<-read).err, tier.ErrNotFound)
	})
}

func TestARecordOfAnUnknownKindIsAMissThatIsReplaced(t *testing.T) {
	t.Parallel()
	two(t, options{OnContention: tier.Fail}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		strange := record.New(record.Header{Kind: 9, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}, []byte("?"))
		step(t, env, record.Step{Verb: record.Add, Record: strange, TTL: time.Hour})
		if g := <-getBehind(t, a); g.value != "v" || g.err != nil || g.took != 0 {
			t.Errorf("%+v, want v at once", g)
		}
		if n := a.Stats().Undecodable; n != 1 {
			t.Errorf("%d records were undecodable", n)
		}
		if r, _ := b.Lookup(t.Context(), 1); r.Tier != tier.Remote {
			t.Errorf("the value comes from %v", r.Tier)
		}
	})
}

func TestAReadThatWantsTheSourceDoesNotWaitForTheLoadOfAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []tier.Contention{tier.Wait, tier.Fail} {
		two(t, options{OnContention: c}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
			leaseOfAnother(t, env)
			began := time.Now()
			v, err := a.Get(t.Context(), 1, tier.SkipRemoteRead())
			if took := time.Since(began); v != "v" || err != nil || took != 0 {
				t.Errorf("%v: %q, %v after %v, want v at once", c, v, err, took)
			}
		})
	}
}

// What is not found is not kept here, so that each read loads: nodes that read it together must not do so one after another.
func TestLoadsThatBringNothingMakeNoQueue(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, answer := range map[string]error{"not found": tier.ErrNotFound, "an error": broken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				env := tiertest.New(t)
				reads := make(chan time.Duration, 10)
				for range cap(reads) {
					n := tiertest.Node(t, env, "c", &options{})
					go func() { // ends with the read
						began := time.Now()
						_, err := n.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) {
							time.Sleep(time.Second) // of the bubble
							return "", answer
						})
						if !errors.Is(err, answer) {
							t.Errorf("got %v", err)
						}
						reads <- time.Since(began)
					}()
				}
				for range cap(reads) {
					if took := <-reads; took > 4*time.Second {
						t.Errorf("a read took %v, where a load takes a second", took)
					}
				}
			})
		})
	}
}
