package invalidation_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// printer is a cache that only says what it would do.
type printer struct{ applied chan struct{} }

func (p printer) Apply(_ invalidation.Position, own bool, m invalidation.Message) {
	fmt.Printf("%v %v of %q, own: %v\n", m.Verb, m.Keys, m.Cache, own)
	p.applied <- struct{}{}
}

// Flush would forget everything held.
func (p printer) Flush(string) {}

func (p printer) Trust(time.Time) {}

// Two nodes on one bus: what one announces, the other hears.
func Example() {
	ctx := context.Background()
	hub := membus.NewHub()
	here, there := membus.Bus(hub, nil), membus.Bus(hub, nil)
	defer here.Close()
	defer there.Close()

	cache := printer{applied: make(chan struct{}, 1)}
	if _, err := there.Attach("products", "v1", 3*time.Second, cache); err != nil {
		fmt.Println(err)
		return
	}
	if err := there.Ping(ctx); err != nil { // what is announced from now on is heard
		fmt.Println(err)
		return
	}

	products, err := here.Attach("products", "v1", 3*time.Second, silent{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = products.Announce(ctx, invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: []string{"products/v1/{42}"}})
	<-cache.applied
	fmt.Println("error:", err)
	// Output:
	// invalidate [products/v1/{42}] of "products", own: false
	// error: <nil>
}

// silent is a cache that holds nothing.
type silent struct{}

func (silent) Apply(invalidation.Position, bool, invalidation.Message) {}
func (silent) Flush(string)                                            {}
func (silent) Trust(time.Time)                                         {}

// A list that all nodes share: one changes it, the other is told.
func ExampleRegister() {
	ctx := context.Background()
	hub := membus.NewHub()
	here, there := membus.Bus(hub, nil), membus.Bus(hub, nil)
	defer here.Close()
	defer there.Close()

	watched, err := invalidation.Register(there, "pool")
	if err != nil {
		fmt.Println(err)
		return
	}
	signal, stop := watched.Changed()
	defer stop()

	pool, err := invalidation.Register(here, "pool")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, epoch, _ := pool.Load(ctx)
	_, swapped, err := pool.Swap(ctx, []byte("one:11211,two:11211"), epoch)
	fmt.Println(swapped, err)

	var value []byte
	for value == nil && err == nil { // a signal also comes when the subscription begins
		<-signal
		value, _, err = watched.Load(ctx)
	}
	fmt.Println(string(value), err)
	// Output:
	// true <nil>
	// one:11211,two:11211 <nil>
}

// What is announced for a cache, as a loop.
func ExampleBus_Watch() {
	ctx := context.Background()
	hub := membus.NewHub()
	here, there := membus.Bus(hub, nil), membus.Bus(hub, nil)
	defer here.Close()
	defer there.Close()

	if err := there.Ping(ctx); err != nil { // else the first subscription would be told as well
		fmt.Println(err)
		return
	}
	changes, err := there.Watch(ctx, "products")
	if err != nil {
		fmt.Println(err)
		return
	}

	products, err := here.Attach("products", "v1", 3*time.Second, silent{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = products.Announce(ctx, invalidation.Message{Verb: invalidation.VerbTag, Keys: []string{"brand:acme"}})
	fmt.Println("error:", err)

	for change := range changes {
		if change.Missed != "" {
			fmt.Println("anything may have changed:", change.Missed)
			continue
		}
		fmt.Println(change.Verb, change.Keys, "own:", change.Own)
		break // or the end of ctx, or of the bus
	}
	// Output:
	// error: <nil>
	// tag [brand:acme] own: false
}
