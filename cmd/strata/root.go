package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

const rootLong = `strata tries out and looks after caches made with package tier: typed caches with a local
tier in each process, a shared remote tier behind it, and a bus that tells all processes
when a value must not be served any more.

Backends are named by URL:

  memory://                        this process alone; gone when the command ends
  redis://[user:password@]host     Redis or Valkey; rediss:// for TLS
  redis-sentinel://host,…/MASTER   the primary that Sentinels name; rediss-sentinel://
  redis-cluster://host[,host…]     a Redis Cluster; rediss-cluster://
  memcached://host[,host…]         Memcached servers as one pool; memcacheds:// for TLS
  hazelcast://host[,host…]         a Hazelcast cluster

Passwords in URLs are never printed. To keep them out of the list of processes, too, put the URL
into STRATA_BACKEND, STRATA_BUS or STRATA_JOURNAL, and leave the flag out. Keys of a bus that is signed (bus_keys in
a configuration) go into STRATA_BUS_KEYS, as ID:KEY,ID:KEY: the first signs, all are accepted.

Exit codes:

  0    done
  1    it failed, or a check did: a stale read in demo or check, a wrong value or failed read in bench,
       a mistake in a configuration, writes that remain in journal drain
  2    the command was called in a wrong way
  3    get: the cache has no such key
  4    a server could not be reached or did not answer in time
  130  interrupted; what was measured till then is printed (0 for watch, whose end that is)`

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "strata",
		Short:         "Try out, measure and look after multi-tier caches",
		Long:          rootLong,
		Example:       "  strata demo\n  strata bench --backend memory:// --backend redis://localhost:6379\n  strata get --backend redis://localhost:6379 --cache products 42",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usage(errors.New("which command?"))
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(newDemo(s), newDemoNode(s), newBench(s), newGet(s), newSet(s), newDelete(s), newInvalidate(s), newWarm(s), newWatch(s), newJournal(s), newConfig(s), newCheck(s), newCheckNode(s), newServer(s), newVersion(s))
	return root
}

// knownCommand refuses what is no command, and says which was probably meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage(errors.New(message))
}

// args wraps a check of positional arguments so that its failure is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error { return usage(check(cmd, a)) }
}

func newVersion(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Print the version of the module, the commit it was built from if that is known, and the Go release.",
		Example: "  strata version",
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(s.out, version())
			return err
		},
	}
}

func version() string {
	v := "strata (devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			v = "strata " + info.Main.Version
		}
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				v += " " + setting.Value[:min(12, len(setting.Value))]
			}
		}
	}
	return fmt.Sprintf("%s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
