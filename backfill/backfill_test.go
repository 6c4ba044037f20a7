package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backfill"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func numbers(n int) backfill.Stream[int, int] {
	return backfill.Keys[int, int](func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
}

// a table is a source with the numbers below 1000, of which some fail.
type table struct {
	mu      sync.Mutex
	batches int
	fails   map[int]int // so often
	down    int         // requests that fail
}

var errTable = errors.New("the table cannot be read")

func (b *table) load(_ context.Context, keys []int) ([]policy.Answer[int], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches++
	if b.down > 0 {
		b.down--
		return nil, errTable
	}
	answers := make([]policy.Answer[int], len(keys))
	for i, k := range keys {
		switch {
		case b.fails[k] > 0:
			b.fails[k]--
			answers[i].Err = errTable
		case k >= 1000:
			answers[i].Err = policy.ErrNotFound
		default:
			answers[i].Value = 10 * k
		}
	}
	return answers, nil
}

type filled struct {
	*table
	env   *tiertest.Env
	cache *tier.Cache[int, int]
}

// inBubble runs do with a cache of a table, in a bubble.
func inBubble(t *testing.T, do func(t *testing.T, f *filled)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &filled{table: &table{fails: map[int]int{}}, env: tiertest.New(t)}
		c, err := tier.New("fill", &tier.Options[int, int]{Remote: f.env.Store, LocalCost: -1, Policy: policy.CacheAside(policy.Funcs[int, int]{LoadMany: f.load}.Loader())})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		f.cache = c
		do(t, f)
	})
}

// memory is a checkpoint in memory.
type memory struct {
	position []byte
	saves    int
	err      error
}

func (m *memory) Load(context.Context) ([]byte, error) { return m.position, nil }

func (m *memory) Save(_ context.Context, p []byte) error {
	m.position, m.saves = slices.Clone(p), m.saves+1
	return m.err
}

func TestAllKeysAreLoadedAtTheRate(t *testing.T) {
	inBubble(t, func(t *testing.T, f *filled) {
		var told []backfill.Progress
		o := &backfill.Options[int]{Rate: 100, Batch: 10, Checkpoint: new(memory), Progress: func(p backfill.Progress) { told = append(told, p) }}
		reads := f.env.Remote.Reads()
		began := time.Now()
		r, err := backfill.Run(t.Context(), f.cache, numbers(1010), o)
		must(t, err)
		if r.Loaded != 1000 || r.Absent != 10 || r.Present != 0 || r.Failed != 0 || r.Tries != 1010 || r.Done() != 1010 || len(r.Failures) != 0 {
			t.Errorf("%+v", r)
		}
		if f.batches != 101 || f.env.Remote.Reads()-reads != 101 {
			t.Errorf("%d batches, %d reads", f.batches, f.env.Remote.Reads()-reads)
		}
		if d := time.Since(began); d < 10*time.Second || d > 11*time.Second || r.Rate() < 90 || r.Rate() > 110 {
			t.Errorf("it took %v: %v a second", d, r.Rate())
		}
		if len(told) < 10 || told[len(told)-1].Done() != 1010 || told[4].Done() < 400 || told[4].Done() > 600 {
			t.Errorf("%d times told: %+v", len(told), told)
		}
		if v, ok, err := f.cache.Peek(t.Context(), 999); v != 9990 || !ok || err != nil {
			t.Error(v, ok, err)
		}
		r, err = backfill.Run(t.Context(), f.cache, numbers(500), &backfill.Options[int]{Batch: 100, Rate: -1})
		if err != nil || r.Present != 500 || f.batches != 101 {
			t.Errorf("again: %+v, %v, %d batches", r, err, f.batches)
		}
		r, err = backfill.Run(t.Context(), f.cache, numbers(500), &backfill.Options[int]{Batch: 100, Rate: -1, Reload: true})
		if err != nil || r.Loaded != 500 || f.batches != 106 {
			t.Errorf("reloaded: %+v, %v, %d batches", r, err, f.batches)
		}
	})
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, f *filled) {
		f.down, f.fails[7] = 3, 2
		r, err := backfill.Run(t.Context(), f.cache, numbers(100), &backfill.Options[int]{Batch: 10, Workers: 1})
		if err != nil || r.Loaded != 100 || r.Failed != 0 || r.Tries != 132 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestAKeyThatFailsEachTimeIsReportedAndNotPassed(t *testing.T) {
	inBubble(t, func(t *testing.T, f *filled) {
		f.fails[42] = 1 << 20
		at := new(memory)
		r, err := backfill.Run(t.Context(), f.cache, numbers(100), &backfill.Options[int]{Batch: 10, Workers: 3, Checkpoint: at})
		if err != nil || r.Loaded != 99 || r.Failed != 1 || len(r.Failures) != 1 || r.Failures[0].Key != 42 || !errors.Is(r.Failures[0].Err, errTable) {
			t.Errorf("%+v, %v", r, err)
		}
		if len(at.position) != 8 || at.position[7] != 42 {
			t.Errorf("the checkpoint is %v", at.position)
		}
		var failed []int
		r, err = backfill.Run(t.Context(), f.cache, numbers(100), &backfill.Options[int]{Checkpoint: at, Failed: func(k int, _ error) error {
			failed = append(failed, k)
			return nil
		}})
		if err != nil || r.Present != 57 || len(failed) != 1 || at.position[7] != 100 {
			t.Errorf("%+v, %v, told %v, at %v", r, err, failed, at.position)
		}
	})
}

func TestARunEndsWhereItCannotGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T, f *filled) {
		broken := errors.New("broken")
		stream := func(n int) backfill.Stream[int, int] {
			return backfill.Counted(func(yield func(backfill.Item[int, int], error) bool) {
				for i := range n {
					if !yield(backfill.Item[int, int]{Key: i}, nil) {
						return
					}
				}
				yield(backfill.Item[int, int]{}, broken)
			})
		}
		at := new(memory)
		r, err := backfill.Run(t.Context(), f.cache, stream(55), &backfill.Options[int]{Batch: 10, Checkpoint: at})
		if !errors.Is(err, broken) || r.Loaded != 55 || at.position[7] != 55 {
			t.Errorf("the stream: %+v, %v, %v", r, err, at.position)
		}
		f.down = 1 << 20
		at = new(memory)
		r, err = backfill.Run(t.Context(), f.cache, stream(1<<30), &backfill.Options[int]{Batch: 100, Workers: 1, Retries: -1, MaxFailed: 150, Checkpoint: at})
		if !errors.Is(err, errTable) || r.Failed < 45 || at.position[7] != 55 {
			t.Errorf("the source: %d failed, %v, at %v", r.Failed, err, at.position)
		}
		f.down = 0
		r, err = backfill.Run(t.Context(), f.cache, numbers(100), &backfill.Options[int]{Batch: 10, SavePause: time.Millisecond, Rate: 10, Checkpoint: &memory{err: broken}})
		if !errors.Is(err, broken) || r.Done() == 100 {
			t.Errorf("the checkpoint: %+v, %v", r, err)
		}
		r, err = backfill.Run(t.Context(), f.cache, numbers(1000), &backfill.Options[int]{Progress: func(backfill.Progress) { panic("boom") }, Rate: 100})
		if err == nil || r.Done() > 300 {
			t.Errorf("a panic: %+v, %v", r, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		at = new(memory)
		r, err = backfill.Run(ctx, f.cache, numbers(1000), &backfill.Options[int]{Rate: 100, Batch: 10, Checkpoint: at})
		if !errors.Is(err, context.DeadlineExceeded) || r.Done() < 50 || r.Done() > 150 || int(at.position[7]) > r.Done() {
			t.Errorf("the context: %+v, %v, at %v", r, err, at.position)
		}
		if _, err := backfill.Run(t.Context(), f.cache, numbers(10), &backfill.Options[int]{Checkpoint: &memory{position: []byte{0, 0, 0, 0, 0, 0, 0, 11}}}); err == nil {
			t.Error("a stream that became shorter")
		}
		if _, err := backfill.Run(t.Context(), f.cache, numbers(10), &backfill.Options[int]{Batch: -1, Pause: -1}); err == nil {
			t.Error("bad options")
		}
	})
}

func TestValuesTakeThePlaceOfNothingThatIsThere(t *testing.T) {
	inBubble(t, func(t *testing.T, f *filled) {
		must(t, f.cache.Set(t.Context(), 1, -1))
		values := func(yield func(backfill.Item[int, int], error) bool) {
			for i := range 4 {
				v := 100 + i
				if !yield(backfill.Item[int, int]{Key: i, Value: &v, TTL: time.Minute, Tags: []string{"given"}}, nil) {
					return
				}
			}
			yield(backfill.Item[int, int]{Key: 5}, nil)
		}
		r, err := backfill.Run(t.Context(), f.cache, backfill.Counted(iter.Seq2[backfill.Item[int, int], error](values)), nil)
		if err != nil || r.Loaded != 4 || r.Present != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		for k, want := range map[int]int{0: 100, 1: -1, 2: 102, 3: 103, 5: 50} {
			if l, err := f.cache.Lookup(t.Context(), k); l.Value != want || err != nil || (k == 2) && (l.TTL > time.Minute || len(l.Tags) != 1) {
				t.Errorf("%d: %+v, %v", k, l, err)
			}
		}
		if _, err := backfill.Run(t.Context(), f.cache, backfill.Counted(iter.Seq2[backfill.Item[int, int], error](values)), &backfill.Options[int]{Reload: true}); err == nil {
			t.Error("values were to be reloaded")
		}
	})
}

func TestWhatNoTierKeepsIsNotDone(t *testing.T) {
	inBubble(t, func(t *testing.T, f *filled) {
		f.env.Remote.Down()
		go func() {
			time.Sleep(time.Second) // of the bubble
			f.env.Remote.Up()
		}()
		r, err := backfill.Run(t.Context(), f.cache, numbers(100), nil)
		if err != nil || r.Loaded != 100 || r.Failed != 0 || r.Tries < 200 {
			t.Errorf("%+v, %v", r, err)
		}
		f.env.Remote.Down()
		r, err = backfill.Run(t.Context(), f.cache, numbers(10), nil)
		if err != nil || r.Loaded != 0 || r.Failed != 10 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestAFileThatIsDamagedIsNoCheckpoint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "position")
	f := backfill.File(path)
	if p, err := f.Load(t.Context()); p != nil || err != nil {
		t.Error(p, err)
	}
	for _, p := range []string{"a\nb", "", "second"} {
		must(t, f.Save(t.Context(), []byte(p)))
		if got, err := f.Load(t.Context()); string(got) != p || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	b, err := os.ReadFile(path)
	must(t, err)
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 1
		must(t, os.WriteFile(path, bad, 0o600))
		if p, err := f.Load(t.Context()); err == nil {
			t.Errorf("byte %d: %q", i, p)
		}
	}
	if err := backfill.File(filepath.Join(path, "no", "such")).Save(t.Context(), nil); err == nil {
		t.Error("saved nowhere")
	}
	if all, _ := filepath.Glob(path + "*"); len(all) != 1 {
		t.Error("files are left:", all)
	}
}

func Example() {
	ctx := context.Background()
	squares, err := tier.New("squares", &tier.Options[int, int]{Policy: policy.CacheAside(
		policy.LoaderFunc[int, int](func(_ context.Context, n int) (int, error) { return n * n, nil }))})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer squares.Close()
	report, err := backfill.Run(ctx, squares, backfill.Keys[int, int](slices.Values([]int{1, 2, 3})), &backfill.Options[int]{Rate: 500})
	fmt.Println(report.Loaded, report.Failed, err)
	fmt.Println(squares.Peek(ctx, 3))
	// Output:
	// 3 0 <nil>
	// 9 true <nil>
}
