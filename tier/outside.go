package tier

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/invalidation"
)

// An Outsider changes what the programs that use a cache hold, without being one of them: it knows neither the types of keys and
// values nor the source, keeps and serves nothing, and other nodes do not compare their options with its own. It is for tools, and
// for programs that only write the source. Its methods are safe for concurrent use.
type Outsider struct{ c *Cache[string, string] }

// OutsideOptions say which cache an Outsider changes.
type OutsideOptions struct {
	// Remote is the tier that the cache's programs share. Required. The caller closes it, after the Outsider.
	Remote *backend.Store

	// Bus tells the programs. The caller closes it, after the Outsider. Nil: they go on serving what they have in memory until it
	// expires there.
	Bus *invalidation.Bus

	// Version is their Options.Version. Default "1".
	Version string
}

// Outside returns an Outsider of the cache called name. It succeeds while servers are down.
func Outside(name string, o *OutsideOptions) (*Outsider, error) {
	if o == nil || o.Remote == nil {
		return nil, fmt.Errorf("tier: outside %q: Remote is required", name)
	}
	c, err := newCache(name, &Options[string, string]{
		Remote: o.Remote, Bus: o.Bus, Version: o.Version, LocalCost: -1, Codec: codec.String(),
	}, func(*Cache[string, string]) string { return "" })
	if err != nil {
		return nil, err
	}
	return &Outsider{c}, nil
}

// Invalidate is [Cache.Invalidate] of keys as Options.Key writes them.
func (o *Outsider) Invalidate(ctx context.Context, keys ...string) error {
	return o.c.Invalidate(ctx, keys...)
}

// InvalidateTag is [Cache.InvalidateTag].
func (o *Outsider) InvalidateTag(ctx context.Context, tags ...string) error {
	return o.c.InvalidateTag(ctx, tags...)
}

// InvalidatePrefix is [Cache.InvalidatePrefix].
func (o *Outsider) InvalidatePrefix(ctx context.Context, prefix string) error {
	return o.c.InvalidatePrefix(ctx, prefix)
}

// Clear is [Cache.Clear].
func (o *Outsider) Clear(ctx context.Context) error { return o.c.Clear(ctx) }

// Set stores a value as a program's cache of strings does: programs whose values are of another type, encrypted or of another codec
// count it as a miss.
func (o *Outsider) Set(ctx context.Context, key, value string, options ...Option) error {
	return o.c.Set(ctx, key, value, options...)
}

// Cache returns the Outsider as a cache of strings, which keeps nothing in this process, for who fills it: the package backfill. The
// Outsider closes it.
func (o *Outsider) Cache() *Cache[string, string] { return o.c }

// Close tries once more what failed, and returns an *UnrepairedError for what is left: nobody goes on with it.
func (o *Outsider) Close() error {
	return o.c.Close()
}
