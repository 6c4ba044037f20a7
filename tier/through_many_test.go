package tier_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// batchTable makes a source that writes many changes in one request, and notes each.
func batchTable(table *tiertest.Source[int, string], batches *[][]policy.Change[int, string], err *error) policy.Source[int, string] {
	return policy.Funcs[int, string]{
		Load: table.Load, Store: table.Store, Delete: table.Delete,
		StoreMany: func(ctx context.Context, changes []policy.Change[int, string]) error {
			*batches = append(*batches, changes)
			if *err != nil {
				return *err
			}
			for _, ch := range changes {
				if ch.Delete {
					table.Remove(ch.Key)
				} else {
					table.Put(ch.Key, ch.Value)
				}
			}
			return nil
		},
	}.Source()
}

func TestSetManyAndDeleteThroughAreOneBatchOfAStoreThatCan(t *testing.T) {
	t.Parallel()
	table := sourceOf(map[int]string{1: "old", 2: "old"})
	var batches [][]policy.Change[int, string]
	var refuse error
	playThrough(t, options{Policy: policy.WriteThrough(batchTable(table, &batches, &refuse)), NegativeTTL: time.Minute}, func(s *scene) {
		s.get(s.b)
		writes := s.env.Remote.Writes()
		must(s, s.a.SetMany(s.Context(), map[int]string{1: "new", 2: "new", 3: "new"}))
		if n := s.env.Remote.Writes() - writes; len(batches) != 1 || len(batches[0]) != 3 || n != 2 {
			s.Errorf("%v in %d round trips", batches, n)
		}
		for _, ch := range batches[0] {
			if ch.Version != 0 || ch.Delete || ch.Value != "new" || ch.ID != [16]byte{} {
				s.Errorf("%+v", ch)
			}
		}
		s.rest(0)
		for k := 1; k <= 3; k++ {
			want(s, s.b, k, "new")
		}
		must(s, s.a.Delete(s.Context(), 1, 3, 1))
		if len(batches) != 2 || len(batches[1]) != 2 || !batches[1][0].Delete || batches[1][1].Key != 3 {
			s.Errorf("%v", batches)
		}
		s.rest(0)
		_, err := s.b.Get(s.Context(), 3)
		wantErr(s, err, tier.ErrNotFound)
		if v := table.Values(); len(v) != 1 || v[2] != "new" {
			s.Errorf("the source has %v", v)
		}
		must(s, s.a.Set(s.Context(), 1, "alone"))
		must(s, s.a.Delete(s.Context(), 1))
		if len(batches) != 2 {
			s.Errorf("one change is a batch: %v", batches[2:])
		}
	})
}

func TestABatchThatFailsFailsForEachOfItsKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cause error
		left  record.Kind // what is at a key then
	}{
		"it surely was not made": {fmt.Errorf("a constraint: %w", policy.ErrNotWritten), 0},
		"nobody knows":           {errors.New("the connection was reset"), record.Fence},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := sourceOf(map[int]string{1: "old", 2: "old"})
			var batches [][]policy.Change[int, string]
			playThrough(t, options{Policy: policy.WriteThrough(batchTable(table, &batches, &c.cause))}, func(s *scene) {
				err := s.a.SetMany(s.Context(), map[int]string{1: "new", 2: "new"})
				wantErr(s, err, c.cause)
				all, ok := err.(interface{ Unwrap() []error })
				if !ok || len(all.Unwrap()) != 2 {
					s.Fatalf("%v", err)
				}
				for _, err := range all.Unwrap() {
					if e, ok := errors.AsType[*tier.Error](err); !ok || e.Tier != "source" || e.Op != "set" {
						s.Errorf("%#v", err)
					}
				}
				if k := s.kind(); k != c.left {
					s.Errorf("a %v is left", k)
				}
				want(s, s.a, 1, "old")
				if st := s.a.Stats(); st.Stores != 2 || st.StoreErrors != 2 {
					s.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestAPanicOfABatchIsContained(t *testing.T) {
	t.Parallel()
	c := open(t, &options{Policy: policy.WriteThrough(policy.Funcs[int, string]{
		StoreMany: func(context.Context, []policy.Change[int, string]) error { panic("boom") },
	}.Source())})
	var p *tier.PanicError
	if err := c.SetMany(t.Context(), map[int]string{1: "a", 2: "b"}); !errors.As(err, &p) || p.Value != "boom" {
		t.Error(err)
	}
}
