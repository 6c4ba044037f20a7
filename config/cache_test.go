package config_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestASourceAndHooksAreUsed(t *testing.T) {
	t.Parallel()
	type product struct{ Name string }
	type id struct{ a, b int }
	w := newWorld()
	set := parse(t, w, "remotes: {m: 'memory://x'}\ncaches: {p: {remote: m, bus: none}}")
	var cloned, weighed, encoded int
	p, err := config.Cache(set, "p",
		config.Source(policy.LoaderFunc[id, *product](func(_ context.Context, k id) (*product, error) { return &product{fmt.Sprint(k.a, k.b)}, nil })),
		config.Hooks[id, *product]{
			Key:    func(k id) string { return fmt.Sprint(k.a, "+", k.b) },
			Codec:  counting[*product]{codec.JSON[*product](), &encoded},
			Clone:  func(p *product) *product { cloned++; c := *p; return &c },
			Weigh:  func(id, *product) int64 { weighed++; return 10 },
			Logger: slog.New(slog.DiscardHandler),
		})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := p.Get(t.Context(), id{1, 2}); err != nil || got.Name != "1 2" {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	var f *fake
	if set.Remote("m").As(&f); !f.has("p/1/{1+2}") {
		t.Errorf("Key was not used: %v", f.data)
	}
	if cloned == 0 || weighed == 0 || encoded == 0 {
		t.Errorf("Clone %d, Weigh %d, Codec %d times", cloned, weighed, encoded)
	}
	if _, err := config.Cache[id, *product](set, "p"); err == nil || !strings.Contains(err.Error(), `cache "p" is made already`) {
		t.Errorf("a second cache of the name: %v", err)
	}
}

type counting[V any] struct {
	codec.Codec[V]
	n *int
}

func (c counting[V]) Append(dst []byte, v V) ([]byte, error) {
	*c.n++
	return c.Codec.Append(dst, v)
}

func TestOnEventIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, "buses: {m: 'memory://x'}\ncaches: {p: {bus: m}}")
	events := make(chan tier.Event, 100)
	if _, err := config.Cache(set, "p", config.Option[int, int](config.Hooks[int, int]{OnEvent: func(e tier.Event) { events <- e }})); err != nil {
		t.Fatal(err)
	}
	w.hub.Restart() // another incarnation flushes
	select {
	case <-events:
	case <-time.After(10 * time.Second):
		t.Error("no event: the bus, or OnEvent, is not there")
	}
}

func TestWhatCacheRefuses(t *testing.T) {
	t.Parallel()
	set := parse(t, newWorld(), "caches: {products: {mode: cache-aside}, through: {mode: write-through}, others: {}}")
	_, cannot := config.Cache(set, "through", config.Source(policy.LoaderFunc[int, int](func(context.Context, int) (int, error) { return 0, nil })))
	_, nothing := config.Cache[int, int](set, "through")
	f := policy.LoaderFunc[int, int](func(context.Context, int) (int, error) { return 0, nil })
	_, unknown := config.Cache[int, int](set, "produts")
	_, none := config.Cache(set, "products", config.Source(policy.LoaderFunc[int, int](nil)))
	_, two := config.Cache(set, "products", config.Source(f), config.Source(f))
	_, key := config.Cache[struct{ a int }, int](set, "products")
	for want, err := range map[string]error{
		"config: caches.produts: no cache has this name; did you mean products?":                                                     unknown,
		`config: cache "products": mode cache-aside: the source policy.LoaderFunc[int,int] is nil: it cannot load`:                   none,
		`config: cache "through": mode write-through: the source policy.LoaderFunc[int,int] cannot serve it: it is no policy.Source`: cannot,
		`config: cache "through": mode write-through: there is no source: it needs one that loads and stores`:                        nothing,
		`config: cache "products": at most one Source and one Hooks, not 2 and 0`:                                                    two,
		`config: tier: new "products": a key of type struct { a int } has no form of its own: set Options.Key`:                       key,
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	var e *config.Error
	if !errors.As(unknown, &e) || e.Path != "caches.produts" {
		t.Errorf("an unknown name is no *Error: %#v", unknown)
	}
	if _, err := config.Cache(set, "products", config.Source(f)); err != nil {
		t.Errorf("after refusals: %v", err)
	}
	table := tiertest.NewSource[int, int]()
	through, err := config.Cache(set, "through", config.Source(table))
	if err != nil || through.Set(t.Context(), 1, 2) != nil || table.Values()[1] != 2 {
		t.Errorf("write-through: %v, the source has %v", err, table.Values())
	}
}
