package tier_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestAThousandReadersShareOneLoad(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "one"})
	c := open(t, &options{Remote: tiertest.New(t).Store, Policy: aside(s)})
	release := s.Block()
	var readers sync.WaitGroup
	var begun atomic.Int64
	for range 1000 {
		readers.Go(func() {
			begun.Add(1)
			if v, err := c.Get(t.Context(), 1); v != "one" || err != nil {
				t.Errorf("got %q, %v", v, err)
			}
		})
	}
	eventually(t, "all began", func() bool { return begun.Load() == 1000 && s.Loads() >= 1 })
	release()
	readers.Wait()
	if s.Loads() != 1 {
		t.Errorf("%d loads", s.Loads())
	}
}

func TestAWaiterThatLeavesDoesNotEndTheLoadOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sourceOf(map[int]string{1: "one"})
		c, err := tier.New("test", &options{Policy: aside(s)})
		must(t, err)
		defer c.Close()
		release := s.Block()
		first, leave := context.WithCancel(t.Context())
		one, two := make(chan error, 1), make(chan error, 1)
		get := func(ctx context.Context, result chan<- error) {
			_, err := c.Get(ctx, 1)
			result <- err
		}
		go get(first, one)       // ends with first
		go get(t.Context(), two) // ends with the load
		synctest.Wait()          // both wait for one load
		leave()
		wantErr(t, <-one, context.Canceled)
		release()
		must(t, <-two)
		if s.Loads() != 1 {
			t.Fatalf("%d loads", s.Loads())
		}
	})
}

func TestTheLastWaiterThatLeavesCancelsTheLoad(t *testing.T) {
	t.Parallel()
	ended, begun := make(chan error, 1), make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	c := open(t, &options{})
	result := make(chan error, 1)
	go func() { // ends with ctx
		_, err := c.GetOrLoad(ctx, 1, func(ctx context.Context, _ int) (string, error) {
			close(begun)
			<-ctx.Done()
			ended <- ctx.Err()
			return "", ctx.Err()
		})
		result <- err
	}()
	<-begun
	leave()
	wantErr(t, <-result, context.Canceled)
	wantErr(t, <-ended, context.Canceled)
	want := "again"
	if v, err := c.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { return want, nil }); v != want || err != nil {
		t.Fatalf("a read after a cancelled load: %q, %v", v, err)
	}
}

func TestAReaderAfterAnInvalidateDoesNotJoinTheOlderLoad(t *testing.T) {
	t.Parallel()
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sourceOf(map[int]string{1: "old"})
			c := setup(t, options{Policy: aside(s)})
			release := s.Block()
			older := make(chan string, 1)
			go func() { // ends with the load
				v, _ := c.Get(t.Context(), 1)
				older <- v
			}()
			must(t, s.AwaitLoads(t.Context(), 1))
			s.Put(1, "new")
			must(t, c.Invalidate(t.Context(), 1))
			newer := make(chan string, 1)
			go func() { // ends with its own load
				v, _ := c.Get(t.Context(), 1)
				newer <- v
			}()
			must(t, s.AwaitLoads(t.Context(), 2))
			release()
			if v := <-newer; v != "new" {
				t.Errorf("a read after Invalidate got %q", v)
			}
			if v := <-older; v != "old" {
				t.Errorf("the older load got %q", v)
			}
			if r, err := c.Lookup(t.Context(), 1, tier.SkipRemoteRead()); r.Value != "new" || err != nil {
				t.Errorf("afterwards: %+v, %v", r, err)
			}
		})
	}
}

func TestLoadersThatPanicOrEndTheirGoroutine(t *testing.T) {
	t.Parallel()
	c := open(t, &options{})
	_, err := c.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { panic("ouch") })
	var p *tier.PanicError
	if !errors.As(err, &p) || p.Value != "ouch" || len(p.Stack) == 0 {
		t.Fatalf("a panic: %v", err)
	}
	_, err = c.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { runtime.Goexit(); return "", nil })
	var e *tier.Error
	if !errors.As(err, &e) || e.Tier != "source" || errors.Is(err, tier.ErrNotFound) {
		t.Fatalf("Goexit: %v", err)
	}
	if v, err := c.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { return "fine", nil }); v != "fine" || err != nil {
		t.Fatalf("afterwards: %q, %v", v, err)
	}
}

func TestCloseEndsLoadsAndIsSafeWithEverything(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	c := tiertest.Node(t, env, "c", &options{Policy: aside(sourceOf(map[int]string{1: "a", 2: "b"})), SoftTTL: 1})
	var callers sync.WaitGroup
	var done atomic.Int64
	for g := range 32 {
		callers.Go(func() {
			for i := 0; ; i++ {
				k := (g + i) % 64
				ctx := t.Context()
				var err error
				switch i % 9 {
				case 0:
					_, err = c.Get(ctx, k)
				case 1:
					err = c.Set(ctx, k, "x")
				case 2:
					err = c.GetMany(ctx, []int{k, k + 1})[0].Err
				case 3:
					err = c.Invalidate(ctx, k)
				case 4:
					err = c.Expire(ctx, k)
				case 5:
					_, _, err = c.Peek(ctx, k)
				case 6:
					_, err = c.GetOrLoad(ctx, k, func(context.Context, int) (string, error) { return "y", nil })
				case 7:
					err = c.SetMany(ctx, map[int]string{k: "m", k + 1: "n"})
				default:
					c.Stats()
					if i%100 == 8 {
						err = c.Clear(ctx)
					}
				}
				done.Add(1)
				if errors.Is(err, tier.ErrClosed) {
					return
				}
				if err != nil && !errors.Is(err, tier.ErrNotFound) {
					t.Errorf("step %d: %v", i%9, err)
					return
				}
			}
		})
	}
	eventually(t, "a thousand calls", func() bool { return done.Load() > 1000 })
	must(t, c.Close())
	callers.Wait()
}

func TestCloseDoesNotWaitForCallersOfABlockedLoad(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "a"})
	c := open(t, &options{Policy: aside(s)})
	defer s.Block()()
	got := make(chan error, 1)
	go func() { // ends with Close
		_, err := c.Get(context.Background(), 1)
		got <- err
	}()
	must(t, s.AwaitLoads(t.Context(), 1))
	must(t, c.Close())
	wantErr(t, <-got, tier.ErrClosed)
}
