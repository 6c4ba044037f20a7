package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/tier"
)

// maxInput is how long a value on standard input may be.
const maxInput = 64 << 20

const busNote = `

Without --bus only the remote tier changes: nodes go on serving what they have in memory until
it expires. With --bus all nodes drop it within their MaxStaleness. --cache-version must be that of
the program.`

func newSet(s streams) *cobra.Command {
	var f cacheFlags
	var ttl time.Duration
	var tags []string
	cmd := &cobra.Command{
		Use:   "set KEY VALUE|-",
		Short: "Store a string at a key of a cache",
		Long: "Store a string at a key of a cache, by the string codec: programs whose cache is a\n" +
			"tier.Cache[K, string] read it, others count it as a miss. - as VALUE reads standard input." + busNote,
		Example: "  strata set --backend redis://localhost:6379 --cache greetings en hello --ttl 1m\n  strata set --cache greetings en - < hello.txt",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if ttl <= 0 {
				return usage(errors.New("--ttl must be positive"))
			}
			value := a[1]
			if value == "-" {
				b, err := io.ReadAll(io.LimitReader(s.in, maxInput+1))
				if err != nil {
					return fmt.Errorf("read standard input: %w", err)
				}
				if len(b) > maxInput {
					return fmt.Errorf("standard input: %w: more than %d bytes", tier.ErrTooLarge, maxInput)
				}
				value = string(b)
			}
			return f.with(cmd.Context(), func(ctx context.Context, o *tier.Outsider) error {
				return o.Set(ctx, a[0], value, tier.WithTTL(ttl), tier.WithTags(tags...))
			})
		},
	}
	f.add(cmd, true)
	cmd.Flags().DurationVar(&ttl, "ttl", 10*time.Minute, "how long the value may be served")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "a tag to keep with the value; may be given several times")
	return cmd
}

func newDelete(_ streams) *cobra.Command {
	var f cacheFlags
	cmd := &cobra.Command{
		Use:   "delete KEY…",
		Short: "Remove keys whose value is gone at the source",
		Long: "Remove the values at keys of a cache because the source has them no more. Under cache-aside this does\n" +
			"what invalidate does. Keys that are not there are no failure." + busNote,
		Example: "  strata delete --backend redis://localhost:6379 --bus redis://localhost:6379 --cache products 42 43",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return f.with(cmd.Context(), func(ctx context.Context, o *tier.Outsider) error { return o.Invalidate(ctx, a...) })
		},
	}
	f.add(cmd, true)
	return cmd
}
