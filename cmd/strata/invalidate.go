package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/tier"
)

const invalidateLong = `Make sure that present values of a cache are not served any more: call it after the source was
changed by hand. One of these says which:

  KEY…             the values at keys, as the program's cache writes them
  --tag TAG        those that have a tag; may be given several times
  --prefix PREFIX  those whose keys begin with it: lists the keys of the remote tier, which
                   memcached cannot
  --all            all of them

--tag and --all look for no value: they leave a marker by which nodes know the values as dead, and
take as long for a million as for one. What is not there is no failure.

The program's types, codec and source do not matter, and its nodes do not notice the command but by what
it invalidates.` + busNote

func newInvalidate(_ streams) *cobra.Command {
	var f cacheFlags
	var w which
	cmd := &cobra.Command{
		Use:   "invalidate (KEY… | --tag TAG… | --prefix PREFIX | --all)",
		Short: "Make all nodes load values anew: by key, tag, prefix, or all",
		Long:  invalidateLong,
		Example: "  strata invalidate --backend redis://localhost:6379 --bus redis://localhost:6379 --cache products 42 43\n" +
			"  strata invalidate --cache products --tag brand:acme --tag brand:emca",
		RunE: func(cmd *cobra.Command, a []string) error {
			w.keys, w.byPrefix = a, cmd.Flags().Changed("prefix")
			do, err := w.action()
			if err != nil {
				return usage(err)
			}
			return f.with(cmd.Context(), do)
		},
	}
	f.add(cmd, true)
	flags := cmd.Flags()
	flags.StringArrayVar(&w.tags, "tag", nil, "invalidate what has this tag; may be given several times")
	flags.StringVar(&w.prefix, "prefix", "", "invalidate the keys that begin with it")
	flags.BoolVar(&w.all, "all", false, "invalidate everything in the cache")
	return cmd
}

// which says what is to be invalidated.
type which struct {
	keys, tags []string
	prefix     string
	byPrefix   bool
	all        bool
}

// action returns what does it. Exactly one thing must be said.
func (w *which) action() (do func(context.Context, *tier.Outsider) error, err error) {
	said := 0
	say := func(yes bool, f func(context.Context, *tier.Outsider) error) {
		if yes {
			do = f
			said++
		}
	}
	say(len(w.keys) > 0, func(ctx context.Context, o *tier.Outsider) error { return o.Invalidate(ctx, w.keys...) })
	say(len(w.tags) > 0, func(ctx context.Context, o *tier.Outsider) error { return o.InvalidateTag(ctx, w.tags...) })
	say(w.byPrefix, func(ctx context.Context, o *tier.Outsider) error { return o.InvalidatePrefix(ctx, w.prefix) })
	say(w.all, func(ctx context.Context, o *tier.Outsider) error { return o.Clear(ctx) })
	switch {
	case said == 0:
		return nil, errors.New("what? give KEY…, --tag TAG, --prefix PREFIX or --all")
	case said > 1:
		return nil, errors.New("KEY…, --tag, --prefix and --all exclude each other: call the command once for each")
	case w.byPrefix && w.prefix == "":
		return nil, errors.New("--prefix is empty: give --all for everything")
	}
	return do, nil
}
