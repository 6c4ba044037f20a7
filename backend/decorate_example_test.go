package backend_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
)

// hits counts what was found, as a metrics adapter would.
type hits struct{ found, asked int }

func (*hits) Start(ctx context.Context, _ backend.Call) context.Context { return ctx }

func (h *hits) End(_ context.Context, c backend.Call, r backend.Result) {
	if c.Operation == backend.OpGet {
		h.found += r.Hits
		h.asked += c.Keys
	}
}

func ExampleStore_With() {
	h := &hits{}
	store := memory.New(nil).With(&backend.Options{Timeout: 50 * time.Millisecond, Observer: h})
	defer store.Close()

	ctx := context.Background()
	value := record.New(record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}, []byte("body"))
	store.Write(ctx, driver.Op{Key: "a", Step: record.Step{Verb: record.Add, Record: value, TTL: time.Hour}})
	store.Get(ctx, "a", "b")
	fmt.Println(h.found, "of", h.asked)
	// Output: 1 of 2
}

// Each tenant has a key space of its own, whatever it is called, and goes in one call.
func ExampleStore_Prefix() {
	store := memory.New(nil)
	defer store.Close()
	acme, other := store.Prefix("acme"), store.Prefix("acme/eu")

	ctx := context.Background()
	acme.Count(ctx, "eu/visits", 1, time.Hour)
	n, err := other.Count(ctx, "visits", 1, time.Hour)
	fmt.Println(n, err)
	fmt.Println(acme.Key("eu/visits"), other.Key("visits"))

	_, err = acme.DeletePrefix(ctx, "")
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// ~acme/eu/visits ~acme%2Feu/visits
	// <nil>
}
