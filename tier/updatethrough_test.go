package tier_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A versioned is a table with a version for each row, as a database has it.
type versioned struct {
	mu    sync.Mutex
	rows  map[int]policy.Answer[string] // guarded by mu, as below
	fails error                         // of every swap, which is made all the same
	swaps int
}

func versionedOf(rows map[int]string) *versioned {
	v := &versioned{rows: map[int]policy.Answer[string]{}}
	for k, s := range rows {
		v.put(k, s)
	}
	return v
}

func (t *versioned) put(k int, s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[k] = policy.Answer[string]{Value: s, Version: t.rows[k].Version + 1}
}

func (t *versioned) at(k int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rows[k].Value
}

func (t *versioned) source() policy.Source[int, string] {
	return policy.Funcs[int, string]{
		Refresh: func(_ context.Context, k int, _ *policy.Answer[string]) policy.Answer[string] {
			t.mu.Lock()
			defer t.mu.Unlock()
			if a, ok := t.rows[k]; ok {
				return a
			}
			return policy.Answer[string]{Err: policy.ErrNotFound}
		},
		Store: func(_ context.Context, k int, s string) error { t.put(k, s); return nil },
		Swap: func(_ context.Context, old policy.Answer[string], ch policy.Change[int, string]) error {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.swaps++
			now, ok := t.rows[ch.Key]
			if ok != (old.Err == nil) || now.Version != old.Version {
				return fmt.Errorf("version %d: %w", now.Version, policy.ErrConflict)
			}
			t.rows[ch.Key] = policy.Answer[string]{Value: ch.Value, Version: now.Version + 1}
			return t.fails
		},
	}.Source()
}

func playVersioned(t *testing.T, do func(s *scene, table *versioned)) {
	t.Helper()
	table := versionedOf(map[int]string{1: "old"})
	playThrough(t, options{Policy: policy.WriteThrough(table.source())}, func(s *scene) { do(s, table) })
}

func TestUpdateThroughChangesTheSource(t *testing.T) {
	t.Parallel()
	playVersioned(t, func(s *scene, table *versioned) {
		s.get(s.a)
		s.get(s.b)
		reads, writes := s.env.Remote.Reads(), s.env.Remote.Writes()
		got, err := s.a.Update(s.Context(), 1, func(old string, found bool) (string, error) {
			if k := s.kind(); k != record.Fence {
				s.Errorf("the source is changed over a %v", k)
			}
			return add("+")(old, found)
		})
		if got != "old+" || err != nil || table.at(1) != "old+" {
			s.Errorf("%q, %v, the source has %q", got, err, table.at(1))
		}
		if r, w := s.env.Remote.Reads()-reads, s.env.Remote.Writes()-writes; r != 1 || w != 2 {
			s.Errorf("%d reads, of which one is of this test, and %d writes of the remote tier", r, w)
		}
		s.rest(0)
		for _, c := range []*cache{s.a, s.b} {
			want(s, c, 1, "old+")
		}
		table.put(1, "by hand") // and no cache is told
		updated(s, s.b, 1, "+", "by hand+")
		updated(s, s.b, 5, "+", "none+")
		if st := s.a.Stats(); st.Stores != 1 || st.StoreErrors != 0 {
			s.Errorf("%+v", st)
		}
	})
}

func TestNoUpdateThroughTwoNodesIsLost(t *testing.T) {
	t.Parallel()
	env, table := tiertest.New(t), versionedOf(nil)
	o := options{Policy: policy.WriteThrough(table.source())}
	var all sync.WaitGroup
	for range 2 {
		c := tiertest.Node(t, env, "c", &o)
		for range 2 {
			all.Go(func() {
				for range 100 {
					if _, err := c.Update(t.Context(), 1, func(old string, _ bool) (string, error) { return old + "+", nil }); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	if n := len(table.at(1)); n != 400 {
		t.Errorf("%d of 400 updates, in %d swaps", n, table.swaps)
	}
	want(t, tiertest.Node(t, env, "c", &o), 1, table.at(1))
}

func TestAnUpdateThroughThatFails(t *testing.T) {
	t.Parallel()
	playVersioned(t, func(s *scene, table *versioned) {
		enough := errors.New("enough")
		v, err := s.a.Update(s.Context(), 1, func(string, bool) (string, error) { return "never", enough })
		if v != "" || err != enough || s.kind() != 0 {
			s.Errorf("%q, %v, and a %v is left", v, err, s.kind())
		}
		times := 0
		_, err = s.a.Update(s.Context(), 1, func(string, bool) (string, error) {
			times++
			table.put(1, fmt.Sprint(times))
			return "never", nil
		})
		wantErr(s, err, tier.ErrContended)
		wantErr(s, err, tier.ErrNotWritten)
		if !isTier(err, "source") || s.kind() != 0 {
			s.Errorf("%v, and a %v is left", err, s.kind())
		}
		want(s, s.b, 1, fmt.Sprint(times))

		func() {
			defer func() {
				if recover() == nil || s.kind() != 0 {
					s.Errorf("no panic, or a %v is left", s.kind())
				}
			}()
			s.a.Update(s.Context(), 1, func(string, bool) (string, error) { panic("in the application") })
		}()

		table.fails = errors.New("the connection was reset")
		_, err = s.a.Update(s.Context(), 1, func(string, bool) (string, error) { return "done", nil })
		wantErr(s, err, table.fails)
		if !isTier(err, "source") || s.kind() != record.Fence {
			s.Errorf("%v, and a %v is left", err, s.kind())
		}
		want(s, s.b, 1, "done")
		s.rest(time.Minute)
		want(s, s.a, 1, "done")
	})
}
