package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/bench"
)

const benchLong = `Do the same work on each backend that --backend names, in interleaved rounds, and report hit
rates and latencies by tier.

Each backend gets a cache with a local tier before it and a source behind it. The source makes the
value of a key from the key, so every value that is read is also checked. Each turn begins with an
empty cache; what it leaves at a backend expires after ten minutes.

Workloads:

  zipf     few keys are hot and most are cold, as on most sites (--keys, --skew)
  uniform  all keys are alike: the worst case for a cache (--keys)
  trace    replay a file, each access once and in order (--trace). The file holds one key a line,
           or big-endian 32-bit integers as the cache2k benchmarks do; plain, gzip or xz. Its
           content decides which, not its name.

How many loads a replayed trace needs is as telling as its latencies: if --local-cost holds all
values, each distinct key is loaded once.`

const benchExample = `  strata bench --backend memory:// --backend redis://localhost:6379
  strata bench --backend redis://localhost:6379 --workload uniform --keys 1000000 --local-cost -1
  strata bench --backend memory:// --workload trace --trace web12.trace.xz --json report.json`

type benchFlags struct {
	backends []string
	workload string
	trace    string
	format   string
	first    int
	jsonFile string
	keys     int
	skew     float64
	config   bench.Config
}

func newBench(s streams) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:     "bench --backend URL…",
		Short:   "Do the same work on several backends and compare",
		Long:    benchLong,
		Example: benchExample,
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBench(cmd.Context(), s, &f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&f.backends, "backend", "b", nil, "URL of a backend; may be given several times (default $STRATA_BACKEND)")
	flags.StringVarP(&f.workload, "workload", "w", "", "zipf, uniform or trace (default zipf, or trace with --trace)")
	flags.StringVar(&f.trace, "trace", "", "file to replay")
	flags.StringVar(&f.format, "trace-format", "", "cache2k or lines (default: what the file looks like)")
	flags.IntVar(&f.first, "trace-first", 0, "replay only that many accesses (default all)")
	flags.DurationVarP(&f.config.Turn, "duration", "d", 5*time.Second, "how long each turn takes; a trace takes as long as it takes")
	flags.IntVarP(&f.config.Rounds, "rounds", "r", 1, "turns of each backend")
	flags.IntVarP(&f.config.Concurrency, "concurrency", "c", 8, "readers at a time")
	flags.IntVar(&f.keys, "keys", 10_000, "keys of zipf and uniform")
	flags.Float64Var(&f.skew, "skew", 0.99, "exponent of zipf: the more, the hotter the hot keys")
	flags.IntVar(&f.config.ValueSize, "value-size", 256, "bytes of each value")
	flags.Int64Var(&f.config.LocalCost, "local-cost", 256<<20, "bytes that the local tier may hold; -1 turns it off")
	flags.DurationVar(&f.config.SourceDelay, "source-delay", 0, "how long the source takes for a load")
	flags.Uint64Var(&f.config.Seed, "seed", 1, "of the accesses: the same seed makes the same ones")
	flags.StringVar(&f.jsonFile, "json", "", "write the report as JSON to this file, - for standard output instead of the text")
	_ = cmd.RegisterFlagCompletionFunc("workload", cobra.FixedCompletions([]string{"zipf", "uniform", "trace"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runBench(ctx context.Context, s streams, f *benchFlags) (err error) {
	for name, v := range map[string]int64{
		"--duration": int64(f.config.Turn), "--rounds": int64(f.config.Rounds), "--concurrency": int64(f.config.Concurrency),
		"--value-size": int64(f.config.ValueSize),
	} {
		if v <= 0 {
			return usage(fmt.Errorf("%s must be positive", name))
		}
	}
	if f.config.LocalCost == 0 {
		return usage(errors.New("--local-cost is 0: give bytes, or -1 for no local tier"))
	}
	if f.config.Seed == 0 {
		return usage(errors.New("--seed must not be 0"))
	}
	if len(f.backends) == 0 && os.Getenv(envBackend) != "" {
		f.backends = []string{os.Getenv(envBackend)}
	}
	if len(f.backends) == 0 {
		f.backends = []string{""} // openStore says what is missing
	}
	if f.config.Workload, err = f.makeWorkload(); err != nil {
		return err
	}
	for _, u := range f.backends {
		store, openErr := openStore(ctx, u)
		if openErr != nil {
			return openErr
		}
		defer closeAll(&err, store.Close)
		f.config.Targets = append(f.config.Targets, bench.Target{Name: store.String(), Store: store})
	}
	for _, t := range f.config.Targets {
		if err := t.Store.Ping(ctx); err != nil {
			return fmt.Errorf("%s does not answer: %w", t.Name, err)
		}
	}
	bar := newBar(s, "bench")
	f.config.Progress = func(p bench.Progress) { bar.set(p.Done, fmt.Sprintf("round %d on %s", p.Round, p.Target)) }
	report, err := bench.Run(ctx, &f.config)
	bar.done()
	if err != nil {
		return orInterrupted(ctx, err)
	}
	if err := f.write(s, report); err != nil {
		return err
	}
	switch {
	case report.Interrupted:
		return errInterrupted
	case report.Failed():
		return errors.New("bench: values were wrong or reads failed: see the report")
	}
	return nil
}

// orInterrupted is err, unless the user ended the command.
func orInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

func (f *benchFlags) makeWorkload() (bench.Workload, error) {
	if f.workload == "" {
		f.workload = "zipf"
		if f.trace != "" {
			f.workload = "trace"
		}
	}
	if (f.workload == "trace") != (f.trace != "") {
		return nil, usage(errors.New("--workload trace and --trace FILE belong together"))
	}
	var w bench.Workload
	var err error
	switch f.workload {
	case "zipf":
		w, err = bench.Zipf(f.keys, f.skew)
	case "uniform":
		w, err = bench.Uniform(f.keys)
	case "trace":
		format := bench.Format(f.format)
		if format != bench.FormatAuto && format != bench.FormatCache2k && format != bench.FormatLines {
			return nil, usage(fmt.Errorf("--trace-format %q: known are cache2k and lines", f.format))
		}
		trace, err := bench.ReadTrace(f.trace, &bench.TraceOptions{Format: format, First: f.first})
		if err != nil {
			return nil, err
		}
		return bench.Replay(trace)
	default:
		err = fmt.Errorf("unknown workload %q; known: zipf, uniform, trace", f.workload)
	}
	return w, usage(err)
}

func (f *benchFlags) write(s streams, report *bench.Report) error {
	if f.jsonFile == "-" {
		return report.WriteJSON(s.out)
	}
	if f.jsonFile != "" {
		file, err := os.Create(f.jsonFile)
		if err != nil {
			return err
		}
		if err := errors.Join(report.WriteJSON(file), file.Close()); err != nil {
			return err
		}
	}
	return report.WriteText(s.out)
}
