package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const demoNodeName = "demo-node"

const demoLong = `Run three nodes that share a cache before a slow source, read from all of them, change products
behind their backs, invalidate, and count.

Each node has a local tier of its own; all share one remote tier and one bus. The source is a table
of products in an embedded SQLite database that takes 20 ms for each read. Popular products are read
most. Ten times a second some node changes a product in the database and invalidates it.

A read is stale if it began more than --max-staleness after an invalidation of its product had
returned, on whichever node, and saw an older version; on the node that invalidated, any such read
is. There must be none: a stale read is exit code 1. Reads of an older version within the bound are
counted apart.

Without flags all of it is in this process: no server is needed. With --backend and --bus the nodes
are processes of their own, and the remote tier and the bus are servers.`

const demoExample = `  strata demo
  strata demo --duration 30s --nodes 5
  strata demo --backend redis://localhost:6379 --bus redis://localhost:6379
  strata demo --backend memcached://localhost:11211 --bus redis://localhost:6379 --json`

type demoFlags struct {
	backend, bus string
	nodes        int
	processes    bool
	duration     time.Duration
	products     int
	rate         int
	delay        time.Duration
	maxStaleness time.Duration
	seed         uint64
	asJSON       bool
}

func newDemo(s streams) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Three nodes, a slow source, and what the cache does for them",
		Long:    demoLong,
		Example: demoExample,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.backend == "" {
				f.backend = or(os.Getenv(envBackend), "memory://")
			}
			if f.bus == "" {
				f.bus = os.Getenv(envBus)
			}
			if !cmd.Flags().Changed("processes") {
				f.processes = schemeOf(f.backend) != "memory"
			}
			if err := f.validate(); err != nil {
				return usage(err)
			}
			return runDemo(cmd.Context(), s, &f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.backend, "backend", "b", "", "URL of the remote tier (default $STRATA_BACKEND, or memory://)")
	flags.StringVar(&f.bus, "bus", "", "URL of the bus, redis://…, hazelcast://… or memcached://… (default $STRATA_BUS, or the backend if that is a server, or memory)")
	flags.IntVarP(&f.nodes, "nodes", "n", 3, "nodes")
	flags.BoolVar(&f.processes, "processes", false, "make each node a process (default unless the backend is memory://)")
	flags.DurationVarP(&f.duration, "duration", "d", 5*time.Second, "how long to read")
	flags.IntVar(&f.products, "products", 1000, "rows of the product table")
	flags.IntVar(&f.rate, "rate", 3000, "reads a second on each node")
	flags.DurationVar(&f.delay, "source-delay", 20*time.Millisecond, "how long the source takes for a read")
	flags.DurationVar(&f.maxStaleness, "max-staleness", time.Second, "bound for how old a value a node may serve")
	flags.Uint64Var(&f.seed, "seed", 1, "of reads and changes")
	flags.BoolVar(&f.asJSON, "json", false, "print the summary as JSON")
	return cmd
}

func (f *demoFlags) validate() error {
	var problems []error
	between := func(name string, v, low, high int) {
		if v < low || v > high {
			problems = append(problems, fmt.Errorf("--%s is %d, must be from %d to %d", name, v, low, high))
		}
	}
	between("nodes", f.nodes, 1, 64)
	between("products", f.products, 1, 1_000_000)
	between("rate", f.rate, 1, 1_000_000)
	if f.duration <= 0 || f.duration > 24*time.Hour {
		problems = append(problems, fmt.Errorf("--duration is %v, must be positive and at most 24h", f.duration))
	}
	if f.delay < 0 || f.delay > 10*time.Second {
		problems = append(problems, fmt.Errorf("--source-delay is %v, must be from 0 to 10s", f.delay))
	}
	if f.maxStaleness < 500*time.Millisecond || f.maxStaleness > time.Hour {
		problems = append(problems, fmt.Errorf("--max-staleness is %v, must be from 500ms to 1h", f.maxStaleness))
	}
	if f.bus == "" && carriesBus(f.backend) {
		f.bus = f.backend
	}
	switch {
	case f.processes && schemeOf(f.backend) == "memory":
		problems = append(problems, errors.New("--processes needs a backend that processes can share, not memory://"))
	case f.bus != "" && !carriesBus(f.bus):
		problems = append(problems, fmt.Errorf("--bus %s: a bus is %s", redact(f.bus), busForms))
	}
	return errors.Join(problems...)
}

// newDemoNode is one node of a demo. It ends when its input does.
func newDemoNode(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     demoNodeName,
		Short:   "One node of a demo, for the demo itself",
		Long:    "One node of a demo: it reads requests from standard input and answers on standard output.",
		Example: "  strata demo",
		Hidden:  true,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// An interrupt reaches the coordinator as well, which then asks for the report.
			return new(node).serve(context.WithoutCancel(cmd.Context()), s.in, s.out)
		},
	}
}

// or is v, or otherwise if v is empty.
func or(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}
