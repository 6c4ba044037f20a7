package tier

import (
	"fmt"
	"time"

	"github.com/strata-cache/strata/codec"
)

// An Option changes one call.
type Option func(*call)

// call is what the options of one call say.
type call struct {
	ttl, softTTL    time.Duration
	tags            []string
	skipLocalRead   bool
	skipLocalWrite  bool
	skipRemoteRead  bool
	skipRemoteWrite bool
	fresh           bool
	allowStale      bool
	custom          bool // anything but what an ordinary read does: such a call shares no flight
}

// WithTTL is how long a value that this call stores may be served, instead of Options.TTL.
func WithTTL(d time.Duration) Option { return func(c *call) { c.ttl, c.custom = d, true } }

// WithSoftTTL is when a value that this call stores becomes stale, instead of Options.SoftTTL.
func WithSoftTTL(d time.Duration) Option { return func(c *call) { c.softTTL, c.custom = d, true } }

// WithTags keeps tags with a value that this call stores. The slice must not be changed later.
func WithTags(tags ...string) Option { return func(c *call) { c.tags, c.custom = tags, true } }

// SkipLocalRead does not look at the local tier.
func SkipLocalRead() Option { return func(c *call) { c.skipLocalRead, c.custom = true, true } }

// SkipLocalWrite keeps nothing in the local tier.
func SkipLocalWrite() Option { return func(c *call) { c.skipLocalWrite, c.custom = true, true } }

// SkipRemoteRead does not look at the remote tier: what the local tier does not have comes from the source.
func SkipRemoteRead() Option { return func(c *call) { c.skipRemoteRead, c.custom = true, true } }

// SkipRemoteWrite stores nothing in the remote tier. What is loaded without the remote tier's consent is not kept locally
// either. A Set with it invalidates what the remote tier has.
func SkipRemoteWrite() Option { return func(c *call) { c.skipRemoteWrite, c.custom = true, true } }

// newCall applies options. What it returns is not changed.
func newCall(options []Option) (*call, error) {
	if len(options) == 0 {
		return plainCall, nil
	}
	c := new(call)
	for _, o := range options {
		o(c)
	}
	if c.ttl != 0 && c.ttl < minTTL {
		return nil, fmt.Errorf("tier: WithTTL %v: must be at least %v", c.ttl, minTTL)
	}
	if c.softTTL < 0 || c.ttl > 0 && c.softTTL >= c.ttl {
		return nil, fmt.Errorf("tier: WithSoftTTL %v: must be shorter than the TTL, and not negative", c.softTTL)
	}
	if len(c.tags) > codec.MaxTags {
		return nil, fmt.Errorf("tier: WithTags: %d tags, at most %d", len(c.tags), codec.MaxTags)
	}
	if c.fresh && c.allowStale {
		return nil, errFreshStale
	}
	if c.fresh && c.skipRemoteRead {
		return nil, errFreshBlind
	}
	return c, nil
}

// plainCall is the call without options.
var plainCall = new(call)
