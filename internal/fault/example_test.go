package fault_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/internal/fault"
)

func Example() {
	lost := fault.NewCounter(fault.Lose(nil).If(fault.And(fault.On(fault.Count), fault.Nth(2))))
	store := memory.New(nil).With(&backend.Options{
		Decorate: func(d driver.Driver) driver.Driver { return fault.Wrap(d, lost) },
	})
	defer store.Close()

	fmt.Println(lost)
	for range 3 {
		fmt.Println(store.Count(context.Background(), "visits", 1, time.Hour))
	}
	fmt.Println(lost.Injected())
	// Output:
	// lose if (count and nth 2)
	// 1 <nil>
	// 0 fault: count: injected: unavailable
	// 3 <nil>
	// 1
}
