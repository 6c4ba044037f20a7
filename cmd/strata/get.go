package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/tier"
)

const getLong = `Print what the remote tier holds at a key of a cache.

Keys are written as the program's cache writes them: a string as it is, an integer in decimal.
Values of the string, bytes and JSON codecs are printed as they are, those of MessagePack, the
default of Go programs, as JSON. A value that no reader could use (damaged, of another codec)
is a failure here; programs count it as a miss.

--raw prints the stored payload byte for byte. --json prints everything that is known of the record:
its kind (a value, or a fence or lease that somebody holds while writing), token and expiry, and
of a value its codec, schema, creation, soft expiry, tags, versions and payload.

Nothing is loaded and nothing is changed. Exit code 3 says that there is no value; with --json,
that there is no record at all.`

func newGet(s streams) *cobra.Command {
	var f cacheFlags
	var raw, asJSON bool
	cmd := &cobra.Command{
		Use:     "get KEY",
		Short:   "Print what the remote tier holds at a key",
		Long:    getLong,
		Example: "  strata get --backend redis://localhost:6379 --cache products 42\n  strata get --backend redis://localhost:6379 --cache products --json 42",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if raw && asJSON {
				return usage(errors.New("--raw and --json exclude each other"))
			}
			return runGet(cmd.Context(), s, &f, a[0], raw, asJSON)
		},
	}
	f.add(cmd, false)
	cmd.Flags().BoolVar(&raw, "raw", false, "print the payload byte for byte")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all that is known of the record, as JSON")
	return cmd
}

func runGet(ctx context.Context, s streams, f *cacheFlags, key string, raw, asJSON bool) (err error) {
	store, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer closeAll(&err, store.Close)
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	remoteKey := f.remoteKey(key)
	result := store.Get(ctx, remoteKey)[0]
	if result.Err != nil {
		return result.Err
	}
	notFound := fmt.Errorf("%s has no value at %q: %w", f.cache, key, tier.ErrNotFound)
	if result.Record == nil {
		return notFound
	}
	d := describe(key, remoteKey, store.Key(remoteKey), result.Record)
	if asJSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(d)
	}
	switch {
	case d.Kind != "value":
		return fmt.Errorf("%w: there is a %s, which somebody holds while writing (see --json)", notFound, d.Kind)
	case d.Problem != "":
		return fmt.Errorf("%q holds a value that no reader can use: %s (see --json)", key, d.Problem)
	case d.Envelope.Negative:
		return fmt.Errorf("%w: the source said that it has none", notFound)
	}
	if raw {
		_, err = s.out.Write(d.payload)
		return err
	}
	text, err := d.text()
	if err != nil {
		return fmt.Errorf("%q: %w (see --raw and --json)", key, err)
	}
	_, err = io.WriteString(s.out, text+"\n")
	return err
}
