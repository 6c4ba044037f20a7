// Package coherence tries to prove a fleet of caches wrong: it runs nodes as processes of their own over real servers, lets
// everything go wrong that it knows how to, and judges every read against what had been acknowledged.
//
//	report, err := coherence.Run(ctx, &coherence.Config{
//		Backend: "redis", Bus: "redis", Nodes: 4, Duration: 2 * time.Minute, MaxStaleness: time.Second,
//		Faults: []string{"all"}, Seed: 1, Command: func() *exec.Cmd { return exec.Command(os.Args[0], "check-node") },
//	})
//	report.WriteText(os.Stdout)
//	if !report.OK() { … }
//
// The coordinator, which is this package, holds the source: every commit is known, whatever becomes of the node that made it.
// Each node reaches the backend and the bus through proxies of its own. Package history judges.
//
// docs/checker.md says what is done, how it is judged, and what a check cannot see.
package coherence
