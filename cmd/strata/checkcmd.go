package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/integration/coherence"
	checknode "github.com/strata-cache/strata/integration/coherence/node"
)

const checkNodeName = "check-node"

func newCheck(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Try to prove the cache wrong",
		Long:    "Try to prove the cache wrong.",
		Example: checkExample,
		Args:    knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usage(errors.New("which check?"))
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newCheckCoherence(s))
	return cmd
}

const checkLong = `Run nodes as processes of their own, let them read and write while everything goes wrong, and judge
every read against what had been acknowledged.

A read is a violation if it was called more than --max-staleness after a newer version had been
acknowledged, on whichever node; after one had been on the node that reads; or if a node that is left in
peace still has an old value at the end. Any violation is exit code 1, and so is a run that proves too
little: a listed fault that happened fewer than three times (less in runs of under 80 s), under a million
reads in 120 s, under half of the reads local hits, or under 2 % writes.

--backend and --bus name a product (redis, memcached, hazelcast), whose server is then started, or the
URL of one server that runs. All faults apply only to servers that the check has started itself; do not
give it a server that others use: FLUSHALL is one of the faults.

--faults takes all, none, and names or beginnings of names, separated by commas: cut, blackhole-to-bus,
kill-node, restore, straddle, … A wrong name lists those that apply to the servers. With none the traffic is a calm
one, and the same is done to a hand-made pair of Ristretto and a server with pub/sub, to compare
what each asks of the source.`

const checkExample = `  strata check coherence --backend redis --bus redis --duration 120s --faults all
  strata check coherence --backend memcached --bus redis --faults cut,blackhole,kill --max-staleness 500ms
  strata check coherence --backend redis://localhost:6379 --faults cut --json report.json`

type checkFlags struct {
	coherence.Config
	faults   string
	jsonFile string
}

func newCheckCoherence(s streams) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:     "coherence",
		Short:   "Try to make nodes serve older values than they promise",
		Long:    checkLong,
		Example: checkExample,
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCheck(cmd.Context(), s, &f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.Backend, "backend", "b", "", "product, or URL of a server (default $STRATA_BACKEND, or redis)")
	flags.StringVar(&f.Bus, "bus", "", "product, or URL of a server (default $STRATA_BUS, or the backend)")
	flags.IntVarP(&f.Nodes, "nodes", "n", 4, "nodes")
	flags.DurationVarP(&f.Duration, "duration", "d", 30*time.Second, "how long to read and write")
	flags.StringVar(&f.faults, "faults", "all", "what goes wrong: all, none, or a list of names or beginnings of names")
	flags.DurationVar(&f.MaxStaleness, "max-staleness", time.Second, "bound for how old a value a node may serve, at least 500ms")
	flags.Uint64Var(&f.Seed, "seed", 1, "of reads, writes and faults")
	flags.StringVar(&f.jsonFile, "json", "", "write the report as JSON to this file, - for standard output instead of the text")
	return cmd
}

func runCheck(ctx context.Context, s streams, f *checkFlags) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	f.Backend = or(f.Backend, or(os.Getenv(envBackend), "redis"))
	f.Bus = or(f.Bus, or(os.Getenv(envBus), f.Backend))
	f.Faults = strings.Split(f.faults, ",")
	f.NodeErrors = s.err
	f.Command = func() *exec.Cmd {
		cmd := exec.Command(exe)
		cmd.Args = []string{os.Args[0], checkNodeName}
		return cmd
	}
	bar := newBar(s, "check")
	f.Progress = bar.set
	report, err := coherence.Run(ctx, &f.Config)
	bar.done()
	switch {
	case errors.Is(err, coherence.ErrConfig):
		return usage(err)
	case err != nil:
		return orInterrupted(ctx, err)
	}
	if err := writeCheck(s, f.jsonFile, report); err != nil {
		return err
	}
	if !report.OK() {
		return fmt.Errorf("check: %d violations, %d reasons why the run proves too little, %d things broken",
			report.Verdict.Violations(), len(report.Insufficient), len(report.Broken))
	}
	return nil
}

func writeCheck(s streams, file string, report *coherence.Report) error {
	if file == "-" {
		return report.WriteJSON(s.out)
	}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := errors.Join(report.WriteJSON(f), f.Close()); err != nil {
			return err
		}
	}
	return report.WriteText(s.out)
}

// newCheckNode is one node of a check. It ends when its input does.
func newCheckNode(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     checkNodeName,
		Short:   "One node of a check, for the check itself",
		Long:    "One node of a check: it reads requests from standard input and answers on standard output.",
		Example: checkExample,
		Hidden:  true,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return checknode.Serve(context.WithoutCancel(cmd.Context()), s.in, s.out)
		},
	}
}
