package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	_ "github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/bench"
)

func targets(t *testing.T, names ...string) []bench.Target {
	t.Helper()
	var out []bench.Target
	for _, name := range names {
		s, err := backend.Open(t.Context(), "memory://")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		out = append(out, bench.Target{Name: name, Store: s})
	}
	return out
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAReplayMakesEachAccessOnceAndLoadsEachKeyOnce(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 5000 {
		lines.WriteString(strings.Repeat("k", 1+i*i%97) + "\n")
	}
	trace := must[*bench.Trace](t)(bench.ParseTrace("t", strings.NewReader(lines.String()), nil))
	var done []float64
	report := must[*bench.Report](t)(bench.Run(t.Context(), &bench.Config{
		Workload: must[bench.Workload](t)(bench.Replay(trace)), Targets: targets(t, "a", "b"), Rounds: 2, Concurrency: 16, ValueSize: 33,
		Progress: func(p bench.Progress) { done = append(done, p.Done) },
	}))
	if len(report.Backends) != 2 || len(done) < 4 || done[len(done)-1] != 1 {
		t.Fatalf("%d backends, progress %v", len(report.Backends), done)
	}
	distinct := uint64(trace.DistinctKeys())
	for _, b := range report.Backends {
		if b.Accesses != 10_000 || b.DistinctKeys != distinct || b.LoadedKeys != distinct || b.Loads != 2*distinct || b.WrongValues != 0 || b.Errors != 0 {
			t.Errorf("%+v; want 10000 accesses of %d keys, each loaded once a round", b, distinct)
		}
		for _, r := range b.Rounds {
			if r.Accesses != 5000 || r.Loads != distinct {
				t.Errorf("round %+v", r)
			}
		}
		if got := b.Tiers.Local.Reads + b.Tiers.Remote.Reads + b.Tiers.Source.Reads; got != b.Accesses {
			t.Errorf("tiers answered %d of %d", got, b.Accesses)
		}
	}
	var text, asJSON bytes.Buffer
	var back bench.Report
	if report.WriteText(&text) != nil || report.WriteJSON(&asJSON) != nil || json.Unmarshal(asJSON.Bytes(), &back) != nil {
		t.Fatal("the report cannot be written")
	}
	if back.Backends[1].Loads != 2*distinct || !strings.Contains(text.String(), "hit rate") {
		t.Errorf("%s\n%s", text.String(), asJSON.String())
	}
}

func TestDrawnWorkloadsEndWithTheirTimeAndUseTheRemoteTier(t *testing.T) {
	t.Parallel()
	for _, w := range []bench.Workload{must[bench.Workload](t)(bench.Zipf(500, 0.99)), must[bench.Workload](t)(bench.Uniform(500))} {
		report := must[*bench.Report](t)(bench.Run(t.Context(), &bench.Config{Workload: w, Targets: targets(t, "m"), Turn: 300 * time.Millisecond, LocalCost: -1}))
		b := report.Backends[0]
		if b.Tiers.Local.Reads != 0 || b.Tiers.Remote.Reads == 0 || b.Loads != b.DistinctKeys || report.Failed() || b.Tiers.Remote.Latency.P50 <= 0 {
			t.Errorf("%s: %+v", w.Name(), b)
		}
	}
}

func TestAnInterruptedRunReportsWhatItDid(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	report := must[*bench.Report](t)(bench.Run(ctx, &bench.Config{
		Workload: must[bench.Workload](t)(bench.Uniform(10)), Targets: targets(t, "a", "b"), Turn: time.Hour,
		Progress: func(bench.Progress) { cancel() },
	}))
	if !report.Interrupted || report.Backends[0].Accesses == 0 || report.Backends[1].Accesses != 0 || report.Failed() {
		t.Errorf("%+v", report)
	}
}

func TestBadConfigsNameAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := bench.Run(t.Context(), &bench.Config{Rounds: -1, Concurrency: 1 << 20, ValueSize: -1})
	for _, name := range []string{"Workload", "Targets", "Rounds", "Concurrency", "ValueSize"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
	for _, s := range []float64{0, -1, 11} {
		if _, err := bench.Zipf(10, s); err == nil {
			t.Errorf("zipf took s=%v", s)
		}
	}
	if _, err := bench.Uniform(0); err == nil {
		t.Error("uniform took no keys")
	}
}

func TestTheRealTraceLoadsEachKeyOnce(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(envTraces)
	if dir == "" {
		t.Skipf("set %s to the folder that holds web12.trace.xz, of the cache2k benchmarks", envTraces)
	}
	trace := must[*bench.Trace](t)(bench.ReadTrace(filepath.Join(dir, "web12.trace.xz"), nil))
	report := must[*bench.Report](t)(bench.Run(t.Context(), &bench.Config{
		Workload: must[bench.Workload](t)(bench.Replay(trace)), Targets: targets(t, "memory"),
	}))
	if b := report.Backends[0]; b.Accesses != 95_607 || b.DistinctKeys != 13_756 || b.Loads != 13_756 || report.Failed() {
		t.Errorf("%+v; want 95607 accesses and 13756 loads", b)
	}
}
