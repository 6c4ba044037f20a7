package tier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A teller is a source that notes what it is asked, and answers as it was told last.
type teller struct {
	mu     sync.Mutex
	answer policy.Answer[string]    // guarded by mu, as below
	held   []*policy.Answer[string] // of each Refresh
}

func (l *teller) tell(a policy.Answer[string]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = a
}

// asked returns what each Refresh was told to be held, and forgets it.
func (l *teller) asked() (held []*policy.Answer[string]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, l.held = l.held, nil
	return held
}

func (l *teller) Load(context.Context, int) (string, error) {
	return "", errors.New("not asked by Refresh")
}

func (l *teller) Refresh(_ context.Context, _ int, held *policy.Answer[string]) policy.Answer[string] {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, held)
	return l.answer
}

// batchTeller can also load many.
type batchTeller struct {
	teller
	batches int
}

func (l *batchTeller) LoadMany(_ context.Context, keys []int) ([]policy.Answer[string], error) {
	l.batches++
	answers := make([]policy.Answer[string], len(keys))
	for i := range keys {
		answers[i] = policy.Answer[string]{Value: fmt.Sprint(keys[i]), Tags: []string{"batch"}, Version: uint64(keys[i]), TTL: 7 * time.Minute}
	}
	return answers, nil
}

// refreshing runs do with a teller and a cache of it, in a bubble, with a remote tier and without one.
func refreshing(t *testing.T, do func(t *testing.T, l *teller, c *cache)) {
	for _, remote := range []bool{false, true} {
		t.Run(fmt.Sprintf("remote=%t", remote), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := new(teller)
				do(t, l, open(t, storeOf(t, remote, &options{
					Policy: policy.CacheAside[int, string](l), TTL: time.Hour, SoftTTL: 10 * time.Minute, NegativeTTL: time.Hour,
				})))
			})
		})
	}
}

// looksLike fails the test unless the cache has at key 1 what a says, for so long.
func looksLike(t *testing.T, c *cache, a policy.Answer[string]) {
	t.Helper()
	r, err := c.Lookup(t.Context(), 1)
	if err != nil || r.Value != a.Value || r.Version != a.Version || !slices.Equal(r.Tags, a.Tags) ||
		(r.TTL-a.TTL).Abs() > time.Second || r.Stale {
		t.Errorf("%+v, %v, want %+v", r, err, a)
	}
}

func heldOnce(t *testing.T, l *teller, want *policy.Answer[string]) {
	t.Helper()
	got := l.asked()
	if len(got) != 1 || (got[0] == nil) != (want == nil) {
		t.Fatalf("held %+v, want %+v once", got, want)
	}
	if want == nil {
		return
	}
	if h := got[0]; h.Value != want.Value || h.Version != want.Version || !slices.Equal(h.Tags, want.Tags) || !errors.Is(h.Err, want.Err) {
		t.Errorf("held %+v, want %+v", h, want)
	}
}

func TestARefresherSaysTTLTagsAndVersion(t *testing.T) {
	t.Parallel()
	refreshing(t, func(t *testing.T, l *teller, c *cache) {
		first := policy.Answer[string]{Value: "a", TTL: 20 * time.Minute, Tags: []string{"x", "y"}, Version: 3}
		l.tell(first)
		want(t, c, 1, "a")
		heldOnce(t, l, nil)
		looksLike(t, c, first)
		must(t, c.InvalidateTag(t.Context(), "y"))
		l.tell(policy.Answer[string]{Value: "b", TTL: time.Minute})
		if v, err := c.Get(t.Context(), 1, tier.Fresh()); v != "b" || err != nil {
			t.Error(v, err)
		}
		heldOnce(t, l, nil)
		looksLike(t, c, policy.Answer[string]{Value: "b", TTL: time.Minute})
	})
}

func TestUnchangedKeepsAllButTheTime(t *testing.T) {
	t.Parallel()
	refreshing(t, func(t *testing.T, l *teller, c *cache) {
		first := policy.Answer[string]{Value: "a", TTL: 20 * time.Minute, Tags: []string{"x"}, Version: 3}
		l.tell(first)
		want(t, c, 1, "a")
		l.asked()
		time.Sleep(11 * time.Minute) // of the bubble: past the soft TTL
		l.tell(policy.Answer[string]{Unchanged: true, Value: "not looked at", TTL: 30 * time.Minute})
		want(t, c, 1, "a")
		synctest.Wait()
		heldOnce(t, l, &first)
		first.TTL = 30 * time.Minute
		looksLike(t, c, first)

		time.Sleep(11 * time.Minute) // of the bubble
		l.tell(policy.Answer[string]{Unchanged: true, Tags: []string{"z"}, Version: 4})
		want(t, c, 1, "a")
		synctest.Wait()
		heldOnce(t, l, &first)
		first.TTL, first.Tags, first.Version = time.Hour, []string{"z"}, 4
		looksLike(t, c, first)
		must(t, c.InvalidateTag(t.Context(), "z"))
		_, err := c.Get(t.Context(), 1) // nothing is held any more
		if held := l.asked(); err == nil || len(held) != 1 || held[0] != nil {
			t.Errorf("%v, held %+v", err, held)
		}
	})
}

func TestANegativeAnswerMayBeUnchanged(t *testing.T) {
	t.Parallel()
	refreshing(t, func(t *testing.T, l *teller, c *cache) {
		gone := policy.Answer[string]{Err: tier.ErrNotFound, Tags: []string{"x"}, Version: 2}
		l.tell(gone)
		_, err := c.Get(t.Context(), 1)
		wantErr(t, err, tier.ErrNotFound)
		heldOnce(t, l, nil)
		time.Sleep(40 * time.Minute) // of the bubble
		must(t, c.Expire(t.Context(), 1))
		l.tell(policy.Answer[string]{Unchanged: true})
		_, err = c.Get(t.Context(), 1)
		wantErr(t, err, tier.ErrNotFound)
		synctest.Wait()
		heldOnce(t, l, &gone)
		time.Sleep(40 * time.Minute) // of the bubble: past its first TTL
		_, err = c.Get(t.Context(), 1)
		wantErr(t, err, tier.ErrNotFound)
		if held := l.asked(); len(held) > 0 {
			t.Errorf("asked again: %+v", held)
		}
	})
}

func TestGetManyAsksARefresher(t *testing.T) {
	t.Parallel()
	refreshing(t, func(t *testing.T, l *teller, c *cache) {
		a := policy.Answer[string]{Value: "a", TTL: 20 * time.Minute, Tags: []string{"x"}, Version: 3}
		l.tell(a)
		for _, e := range c.GetMany(t.Context(), []int{1, 2, 3}) {
			if e.Err != nil || e.Value != "a" {
				t.Errorf("%+v", e)
			}
		}
		if held := l.asked(); len(held) != 3 || held[0] != nil {
			t.Errorf("held %+v", held)
		}
		looksLike(t, c, a)
	})
}

func TestABatchLoaderMayAlsoRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(batchTeller)
		c := open(t, storeOf(t, true, &options{Policy: policy.CacheAside[int, string](l), TTL: time.Hour, SoftTTL: 5 * time.Minute}))
		for i, e := range c.GetMany(t.Context(), []int{1, 2, 3}) {
			if e.Err != nil || e.Value != fmt.Sprint(i+1) {
				t.Errorf("%+v", e)
			}
		}
		if held := l.asked(); len(held) != 0 || l.batches != 1 {
			t.Errorf("%d batches, held %+v", l.batches, held)
		}
		first := policy.Answer[string]{Value: "1", TTL: 7 * time.Minute, Tags: []string{"batch"}, Version: 1}
		looksLike(t, c, first)
		time.Sleep(6 * time.Minute) // of the bubble
		l.tell(policy.Answer[string]{Unchanged: true})
		want(t, c, 1, "1")
		synctest.Wait()
		heldOnce(t, &l.teller, &first)
		first.TTL = time.Hour
		looksLike(t, c, first)
		if l.batches != 1 {
			t.Error("a refresh of one key was a batch")
		}
	})
}

func TestMoreTagsThanAreKeptAreAnErrorOfTheirKey(t *testing.T) {
	t.Parallel()
	many := make([]string, codec.MaxTags+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	refreshing(t, func(t *testing.T, l *teller, c *cache) {
		l.tell(policy.Answer[string]{Value: "a", Tags: many})
		if _, err := c.Get(t.Context(), 1); err == nil {
			t.Error("no error")
		}
		l.tell(policy.Answer[string]{Value: "a", Tags: many[1:]})
		want(t, c, 1, "a")
	})
}
