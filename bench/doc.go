// Package bench does the same work on several backends and says what a cache made of it.
//
//	trace, err := bench.ReadTrace("web12.trace.xz", nil)
//	report, err := bench.Run(ctx, &bench.Config{
//		Workload: bench.Replay(trace),
//		Targets:  []bench.Target{{Name: "redis", Store: store}},
//	})
//	report.WriteText(os.Stdout)
//
// A [Workload] decides which keys are asked for: [Zipf] and [Uniform] draw them, [Replay] takes them from a recorded
// [Trace]. Each backend gets a cache with a local tier, the backend as its remote tier, and a loader that makes the value
// of a key from the key itself, so that every value that comes back can be checked.
//
// Rounds are interleaved: in round r all backends have their turn, one after the other, before round r+1 begins, so that
// whatever else happens on the machine happens to all of them. Each turn begins with an empty cache, under a version of
// its own.
//
// Latencies are those of single reads, as their caller saw them, and kept apart by the tier that answered.
package bench
