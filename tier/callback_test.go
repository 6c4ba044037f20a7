package tier_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// picky is a codec that refuses what begins with "bad".
type picky struct{ codec.Codec[string] }

func pickyCodec() picky { return picky{codec.String()} }

var errPicky = errors.New("picky")

func (p picky) Append(dst []byte, v string) ([]byte, error) {
	if strings.HasPrefix(v, "bad") {
		return nil, errPicky
	}
	return p.Codec.Append(dst, v)
}

func TestASetThatCannotBeStoredChangesNothing(t *testing.T) {
	t.Parallel()
	store := memory.New(&memory.Options{MaxBytes: memory.MinMaxBytes}) // records to 8 KiB
	t.Cleanup(func() { store.Close() })
	env := tiertest.New(t)
	c := tiertest.Node(t, env, "c", &options{Remote: store, Codec: pickyCodec()})
	other := tiertest.Node(t, env, "c", &options{Remote: store, Codec: pickyCodec()})
	must(t, c.Set(t.Context(), 1, "old"))
	for value, wanted := range map[string]error{"bad": errPicky, strings.Repeat("x", 10_000): backend.ErrTooLarge} {
		err := c.Set(t.Context(), 1, value)
		wantErr(t, err, wanted)
		var e *tier.Error
		if !errors.As(err, &e) || e.Op != "set" || e.Tier != "remote" {
			t.Errorf("%v: want to know operation and tier", err)
		}
		err = c.SetMany(t.Context(), map[int]string{1: value, 2: "two"})
		wantErr(t, err, wanted)
		for name, node := range map[string]*tier.Cache[int, string]{"writer": c, "other node": other} {
			for k, v := range map[int]string{1: "old", 2: "two"} {
				if r, err := node.Lookup(t.Context(), k, tier.SkipLocalRead()); r.Value != v || err != nil {
					t.Errorf("%s: then %d is %q, %v, want %q", name, k, r.Value, err, v)
				}
			}
		}
	}
	if r, err := c.Lookup(t.Context(), 1); r.Tier != tier.Local || err != nil {
		t.Errorf("the writer's own copy of the old value: %+v, %v", r, err)
	}
}

func TestAPanicOfACallbackFailsItsCallAndNotTheProgram(t *testing.T) {
	t.Parallel()
	c := open(t, &options{
		Policy: aside(sourceOf(map[int]string{1: "one"})), Remote: tiertest.New(t).Store,
		Weigh: func(int, string) int64 { panic("ouch") },
	})
	for range 2 { // the flight is over, and leaves nothing behind
		_, err := c.Get(t.Context(), 1)
		var p *tier.PanicError
		if !errors.As(err, &p) || p.Value != "ouch" || len(p.Stack) == 0 {
			t.Errorf("Get: %v, want the panic", err)
		}
	}
}

func TestAPanicInARefreshKeepsTheStaleValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ouch := false
		told := make(chan tier.Event, 1)
		s := sourceOf(map[int]string{1: "one"})
		c := open(t, &options{
			Policy: aside(s), SoftTTL: time.Second,
			Weigh: func(int, string) int64 {
				if ouch {
					panic("ouch")
				}
				return 1
			},
			OnEvent: func(e tier.Event) { told <- e; panic("again") },
		})
		want(t, c, 1, "one")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		ouch = true
		want(t, c, 1, "one")
		e := <-told
		var p *tier.PanicError
		if e.Kind != tier.EventRefresh || !errors.As(e.Err, &p) {
			t.Errorf("told of %v, %v, want a refresh that panicked", e.Kind, e.Err)
		}
		synctest.Wait()
		want(t, c, 1, "one")
	})
}

func TestCloseInALoaderReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := tier.New("c", &options{LoadTimeout: time.Minute})
		must(t, err)
		closed := make(chan error, 1)
		_, err = c.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) {
			closed <- c.Close()
			return "late", nil
		})
		wantErr(t, err, tier.ErrClosed)
		begin := time.Now()
		if err := <-closed; err == nil || time.Since(begin) > time.Minute {
			t.Errorf("Close in a loader: %v after %v, want an error within LoadTimeout", err, time.Since(begin))
		}
		synctest.Wait()
		if err := c.Close(); err != nil { // the loader has ended
			t.Errorf("Close again: %v", err)
		}
	})
}
