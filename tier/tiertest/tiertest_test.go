package tiertest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestASourceThatMissesFailsAndBlocks(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	source := tiertest.NewSource[int, string]()
	c := tiertest.Node(t, env, "names", &tier.Options[int, string]{Policy: policy.CacheAside(source)})
	ctx := t.Context()

	if _, err := c.Get(ctx, 1); !errors.Is(err, tier.ErrNotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	boom := errors.New("boom")
	source.Fail(boom)
	if _, err := c.Get(ctx, 1); !errors.Is(err, boom) {
		t.Errorf("a source that fails: %v", err)
	}
	source.Fail(nil)
	source.Put(1, "one")
	release := source.Block()
	short, cancel := context.WithCancel(ctx)
	got := make(chan error, 1)
	go func() { // ends when short does
		_, err := c.Get(short, 1)
		got <- err
	}()
	if err := source.AwaitLoads(ctx, 3); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: %v", err)
	}
	release()
	if v, err := c.Get(ctx, 1); v != "one" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	if source.Loads() != 4 || source.Batches() != 0 {
		t.Errorf("%d loads, %d batches", source.Loads(), source.Batches())
	}
	source.Remove(1)
	if len(source.Values()) != 0 {
		t.Error("Delete left something")
	}
}

func TestARemoteThatIsDown(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	c := tiertest.Node[int, string](t, env, "names", nil)
	ctx := t.Context()
	env.Remote.Down()
	if err := c.Set(ctx, 1, "one"); !errors.Is(err, tier.ErrUnavailable) {
		t.Errorf("Set: %v", err)
	}
	if _, err := c.Get(ctx, 1); !errors.Is(err, tier.ErrUnavailable) || errors.Is(err, tier.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if err := c.Clear(ctx); !errors.Is(err, tier.ErrUnavailable) {
		t.Errorf("Clear: %v", err)
	}
	if err := env.Store.Ping(ctx); !errors.Is(err, tier.ErrUnavailable) {
		t.Errorf("Ping: %v", err)
	}
	env.Remote.Up()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-poll.C { // until the Clear is repaired, which also makes the record of markers
		if _, _, err := c.Peek(ctx, 2); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("Peek: %v", err)
		}
	}
	before := env.Remote.Writes()
	if err := c.Set(ctx, 1, "one"); err != nil {
		t.Errorf("Set after the outage: %v", err)
	}
	if n := env.Remote.Writes() - before; n != 2 {
		t.Errorf("Set took %d round trips, want fence and swap", n)
	}
	if err := c.Clear(ctx); err != nil {
		t.Errorf("Clear: %v", err)
	}
	if ok, err := c.Contains(ctx, 1); ok || err != nil {
		t.Errorf("after Clear: %v, %v", ok, err)
	}
}
