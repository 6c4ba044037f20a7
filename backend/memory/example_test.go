package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memory"
)

func ExampleNew() {
	store := memory.New(&memory.Options{MaxBytes: 64 << 20})
	defer store.Close()

	n, err := store.Count(context.Background(), "visits", 1, time.Hour)
	fmt.Println(store, n, err)
	// Output: memory:// 1 <nil>
}

// Two parts of a program share a memory by its name.
func Example_named() {
	ctx := context.Background()
	a, err := backend.Open(ctx, "memory://sessions")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := backend.Open(ctx, "memory://sessions")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	a.Count(ctx, "visits", 2, time.Hour)
	n, err := b.Count(ctx, "visits", 3, time.Hour)
	fmt.Println(n, err)
	// Output: 5 <nil>
}

// A test does to the memory what happens to servers: here it comes back with what it had some time ago.
func ExampleMemory() {
	ctx := context.Background()
	store := memory.New(nil)
	defer store.Close()
	var m *memory.Memory
	store.As(&m)

	store.Count(ctx, "visits", 1, time.Hour)
	old := m.Snapshot()
	store.Count(ctx, "visits", 1, time.Hour)
	if err := m.Restore(old); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Count(ctx, "visits", 0, time.Hour))
	// Output: 1 <nil>
}
