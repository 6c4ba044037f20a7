package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/config"
)

// defaultConfig is the file that is checked where none is named.
const defaultConfig = "strata.yaml"

func newConfig(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check configuration files",
		Long:    "Check the configuration files of package config, which docs/configuration.md describes.",
		Example: "  strata config validate strata.yaml\n  strata config schema > strata.schema.json",
		Args:    knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usage(errors.New("which command?"))
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newConfigValidate(s), newConfigSchema(s))
	return cmd
}

const validateLong = `Read a configuration as a program would, and print all its mistakes, each with its line and column.

FILE is strata.yaml if it is not given, and standard input if it is -. Variables in the file come
from this command's environment, as do the STRATA_… variables that override it, and keys come from
the files that it names: so a variable that is not set is a mistake, and is named.

No server is asked, unless --connect is given: then every remote tier is asked whether it serves,
every bus whether what is announced on it is heard, and every journal with a server whether that
answers. A program may bring fewer drivers than this
command has, and other caches, sources and codecs.

Exit codes: 0 if all is well, 1 for mistakes, 4 if a server does not answer.`

func newConfigValidate(s streams) *cobra.Command {
	var connect bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "validate [FILE]",
		Short:   "Print all mistakes in a configuration file",
		Long:    validateLong,
		Example: "  strata config validate\n  strata config validate --connect production.yaml\n  envsubst < template.yaml | strata config validate -",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if timeout <= 0 {
				return usage(errors.New("--timeout must be positive"))
			}
			file := defaultConfig
			if len(a) > 0 {
				file = a[0]
			}
			return runConfigValidate(cmd.Context(), s, file, connect, timeout)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&connect, "connect", false, "ask every server that the file names whether it answers")
	flags.DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the servers, with --connect")
	return cmd
}

func runConfigValidate(ctx context.Context, s streams, file string, connect bool, timeout time.Duration) (err error) {
	d := offline()
	if connect {
		d = drivers()
	}
	set, err := loadConfig(ctx, s, file, d)
	if file == "-" {
		file = "standard input"
	}
	if err != nil {
		return printMistakes(s, file, "mistake", err)
	}
	defer closeAll(&err, set.Close)
	summary := fmt.Sprintf("%s is valid: %s, %s, %s, %s", file, count(len(set.Remotes()), "remote"),
		count(len(set.Buses()), "bus"), count(len(set.Journals()), "journal"), count(len(set.Caches()), "cache"))
	if connect {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if err := set.Ping(ctx); err != nil {
			return printMistakes(s, file, "silent server", err)
		}
		summary += "; all servers answer"
	}
	_, err = fmt.Fprintln(s.out, summary)
	return err
}

func loadConfig(ctx context.Context, s streams, file string, d config.Drivers) (*config.Set, error) {
	if file != "-" {
		return config.Load(ctx, file, d)
	}
	data, err := io.ReadAll(s.in)
	if err != nil {
		return nil, err
	}
	return config.Parse(ctx, data, os.Environ(), d)
}

// printMistakes prints each in a line of its own, as compilers do, and returns an error that counts them.
func printMistakes(s streams, file, what string, err error) error {
	var all config.Errors
	if !errors.As(err, &all) {
		return err
	}
	for _, e := range all {
		fmt.Fprintln(s.err, e)
	}
	return counted{fmt.Sprintf("%s: %s", file, count(len(all), what)), err}
}

// counted is an error that was printed in detail already.
type counted struct {
	text string
	err  error
}

func (c counted) Error() string { return c.text }
func (c counted) Unwrap() error { return c.err }

// count writes 1 cache and 2 caches.
func count(n int, what string) string {
	switch {
	case n == 1:
	case what == "bus":
		what = "buses"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func newConfigSchema(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of configuration files",
		Long: `Print the JSON Schema (draft 2020-12) of configuration files, for editors: with it they complete
names, show what fields mean, and mark mistakes as they are made. An editor with a YAML language
server finds it by a first line in the file:

  # yaml-language-server: $schema=strata.schema.json

It sees less than strata config validate does.`,
		Example: "  strata config schema > strata.schema.json",
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := s.out.Write(config.Schema())
			return err
		},
	}
}
