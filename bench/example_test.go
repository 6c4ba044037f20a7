package bench_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/bench"
)

// Four accesses to three keys, replayed on one backend.
func Example() {
	store := memory.New(nil)
	defer store.Close()
	trace, err := bench.ParseTrace("accesses.txt", strings.NewReader("a\nb\na\nc\n"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	workload, err := bench.Replay(trace)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := bench.Run(context.Background(), &bench.Config{
		Workload: workload, Targets: []bench.Target{{Name: "memory", Store: store}}, Concurrency: 1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := report.Backends[0]
	fmt.Println(b.Accesses, "accesses,", b.DistinctKeys, "keys,", b.Loads, "loads")
	// Output: 4 accesses, 3 keys, 3 loads
}
