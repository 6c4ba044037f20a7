package tier

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

// Options configures a cache. The zero value is a local cache of 64 MiB whose entries live for ten minutes.
type Options[K comparable, V any] struct {
	// Remote is the tier that all processes share. Nil: the cache is local. The caller closes it, after the cache.
	Remote *backend.Store

	// Bus keeps the local tiers of all processes coherent. The caller closes it, after the cache. Nil with a Remote: a
	// local value lives at most MaxStaleness after it was read.
	Bus *invalidation.Bus

	// Policy says how the cache relates to its source. The zero Policy has none: a miss is ErrNotFound.
	Policy policy.Policy[K, V]

	// TTL is how long a value may be served after it was loaded or set. Default 10 minutes; at least 10 ms.
	TTL time.Duration

	// LocalTTL bounds how long this process serves a value without looking at the remote tier. Default and at most TTL.
	LocalTTL time.Duration

	// SoftTTL, if set, is when a value becomes stale: it is still served, while it is loaded anew behind. It must be
	// shorter than TTL. Default 0: values are fresh until they expire.
	SoftTTL time.Duration

	// NegativeTTL, if set, is how long an ErrNotFound of the source is kept. Default 0: it is not.
	NegativeTTL time.Duration

	// Jitter shortens each TTL and SoftTTL by a random share of up to this much, so that values which were loaded
	// together do not expire together. From 0 to 0.9. Default 0.
	Jitter float64

	// MaxStaleness bounds how old a value any node may serve after a write elsewhere has returned. A node that cannot
	// be sure of it reads the remote tier instead of its own. Default 3 s; at least 500 ms.
	MaxStaleness time.Duration

	// LoadTimeout bounds one load: reading the remote tier, the source, and storing the result. Default 30 s.
	LoadTimeout time.Duration

	// FenceWait is how long a reader waits at a key that somebody is writing, before it reads the source. Default 50 ms.
	FenceWait time.Duration

	// LeaseTTL is how long a key that a node was loading stays reserved when that node dies. While it lives it renews the
	// lease, however long the load takes. Default 5 s; at least 1 s.
	LeaseTTL time.Duration

	// OnContention says what a read of one key does while somebody else loads it. Default Wait. GetMany does not wait: it
	// loads what others are loading too, and keeps nothing of that.
	OnContention Contention

	// WhenUnreachable says what BeginWrite and policy.WriteThrough do if other nodes cannot be kept from using old values
	// before the source is written. Default Commit.
	WhenUnreachable Unreachable

	// SourceSettle is how long a write of the source whose outcome is unknown may still take effect. So long reads of its keys
	// go to the source. Default 5 s; at least 10 ms.
	SourceSettle time.Duration

	// RepairLog keeps what is to be repaired over the death of this process; the invalidations of tags are not in it. The caller
	// closes it, after the cache. Default nil: what a process could not repair before it died others may serve until its TTL ends.
	RepairLog RepairLog

	// LocalCost is how much the local tier may hold, in bytes as Weigh counts them, and a fixed overhead for each entry.
	// Default 64 MiB, at least 64 KiB; negative turns the local tier off, which needs a Remote.
	LocalCost int64

	// Weigh returns the size of a value, and of its key, in bytes. Default: the length of a key that is a string, and that of a string or
	// byte slice, else the encoded size where there is a Remote, else the size of the type itself, which does not see what it points to.
	Weigh func(K, V) int64

	// Clone copies a value, deeply. If set, callers get their own copy of local values and may change it. Default nil:
	// values are shared and must not be changed.
	Clone func(V) V

	// Codec encodes values for the remote tier. Default: bytes and strings as they are, anything else as MessagePack.
	Codec codec.Codec[V]

	// Compression makes encoded values shorter at the remote tier: codec/compression has one. Default nil: none; compressed
	// values that another node wrote are misses then.
	Compression codec.Compressor

	// Encryption encrypts what the remote tier holds, but for the keys: codec/encryption has one. If it is set, only what was
	// encrypted for the very key where it is found is read, and all else is a miss. Default nil: none; encrypted values that
	// another node wrote are misses then. All nodes of a cache should have the same.
	Encryption codec.Cipher

	// MaxBody bounds an encoded value in bytes, compressed and encrypted as it is stored. A larger one cannot be Set; one that
	// was loaded is returned and not kept; one that is found is a miss. Whoever can write to the remote tier, and has no key, can
	// make a reader allocate a multiple of it: docs/codec.md. Default, and at most, 64 MiB; at least 1 KiB.
	MaxBody int

	// Key writes a key for the remote tier. Different keys need different strings. Default: strings, integers, bools,
	// byte arrays and encoding.TextMarshalers have a form of their own; New refuses other types without Key.
	Key func(K) string

	// KeyCodec encodes keys for the journal of policy.WriteBehind, from which they are decoded when the source is written. Default:
	// strings as they are, anything else as MessagePack.
	KeyCodec codec.Codec[K]

	// Version is part of every remote key: another version is another, empty cache. Default "1". It takes letters,
	// digits, '.', '_' and '-', as the cache's name does.
	Version string

	// StaleSample is how many local values a second are compared with the remote tier, to know how stale they are: Stats.Staleness
	// tells, and one that is staler than MaxStaleness is an EventStale. Either the promise was broken then, or the source was
	// changed without the cache being told, or a change was not acknowledged yet, or the clocks of nodes differ. They are read 64 at
	// a time, in one bulk read; a local hit costs nothing more. Without a Remote, or a local tier, there is nothing to
	// compare. At most 10,000. Default 0: none are.
	StaleSample int

	// OnEvent is told of what went wrong without failing a call: see Event. It is called on the goroutine where it
	// happened and must not block. Default nil.
	OnEvent func(Event)

	// Logger is told the same. Default nil: nothing is logged.
	Logger *slog.Logger
}

const (
	defaultTTL          = 10 * time.Minute
	defaultMaxStaleness = 3 * time.Second
	minMaxStaleness     = 500 * time.Millisecond
	defaultLoadTimeout  = 30 * time.Second
	defaultFenceWait    = 50 * time.Millisecond
	defaultLeaseTTL     = 5 * time.Second
	minLeaseTTL         = time.Second
	defaultSourceSettle = 5 * time.Second
	minSourceSettle     = 10 * time.Millisecond
	defaultLocalCost    = 64 << 20
	minLocalCost        = 64 << 10
	minTTL              = 10 * time.Millisecond
	defaultVersion      = "1"
	minMaxBody          = 1 << 10
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// withDefaults returns a copy with every default filled in; o may be nil.
func (o *Options[K, V]) withDefaults() Options[K, V] {
	var out Options[K, V]
	if o != nil {
		out = *o
	}
	setDefault(&out.TTL, defaultTTL)
	setDefault(&out.LocalTTL, out.TTL)
	setDefault(&out.MaxStaleness, defaultMaxStaleness)
	setDefault(&out.LoadTimeout, defaultLoadTimeout)
	setDefault(&out.FenceWait, defaultFenceWait)
	setDefault(&out.LeaseTTL, defaultLeaseTTL)
	setDefault(&out.SourceSettle, defaultSourceSettle)
	setDefault(&out.LocalCost, defaultLocalCost)
	setDefault(&out.Version, defaultVersion)
	setDefault(&out.MaxBody, codec.MaxBody)
	if out.Codec == nil {
		out.Codec = defaultCodec[V]()
	}
	if out.KeyCodec == nil {
		out.KeyCodec = defaultCodec[K]()
	}
	out.Policy.Writing = out.Policy.Writing.WithDefaults()
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func defaultCodec[V any]() codec.Codec[V] {
	var v V
	switch any(v).(type) {
	case []byte:
		return any(codec.Bytes()).(codec.Codec[V])
	case string:
		return any(codec.String()).(codec.Codec[V])
	}
	return codec.MessagePack[V]()
}

// validate names every problem at once, each with the field it is about.
func (o *Options[K, V]) validate(name string) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !nameForm.MatchString(name) {
		bad("name %q: 1 to 64 letters, digits, '.', '_' or '-'", name)
	}
	if !nameForm.MatchString(o.Version) {
		bad("Version %q: 1 to 64 letters, digits, '.', '_' or '-'", o.Version)
	}
	if o.TTL < minTTL {
		bad("TTL %v: must be at least %v", o.TTL, minTTL)
	}
	if o.LocalTTL < minTTL || o.LocalTTL > o.TTL {
		bad("LocalTTL %v: must be from %v to TTL %v", o.LocalTTL, minTTL, o.TTL)
	}
	if o.SoftTTL < 0 || o.SoftTTL >= o.TTL {
		bad("SoftTTL %v: must be shorter than TTL %v, and not negative", o.SoftTTL, o.TTL)
	}
	if o.NegativeTTL != 0 && o.NegativeTTL < minTTL {
		bad("NegativeTTL %v: must be 0 or at least %v", o.NegativeTTL, minTTL)
	}
	if !(o.Jitter >= 0 && o.Jitter <= 0.9) {
		bad("Jitter %v: must be from 0 to 0.9", o.Jitter)
	}
	if o.MaxStaleness < minMaxStaleness {
		bad("MaxStaleness %v: must be at least %v", o.MaxStaleness, minMaxStaleness)
	}
	if o.LoadTimeout < time.Millisecond {
		bad("LoadTimeout %v: must be at least 1ms", o.LoadTimeout)
	}
	if o.FenceWait < time.Millisecond {
		bad("FenceWait %v: must be at least 1ms", o.FenceWait)
	}
	if o.LeaseTTL < minLeaseTTL {
		bad("LeaseTTL %v: must be at least %v", o.LeaseTTL, minLeaseTTL)
	}
	if o.OnContention > Fail {
		bad("OnContention %d: unknown", o.OnContention)
	}
	if o.WhenUnreachable > Refuse {
		bad("WhenUnreachable %d: unknown", o.WhenUnreachable)
	}
	if o.SourceSettle < minSourceSettle {
		bad("SourceSettle %v: must be at least %v", o.SourceSettle, minSourceSettle)
	}
	if o.StaleSample < 0 || o.StaleSample > maxStaleSample {
		bad("StaleSample %d: must be from 0 to %d", o.StaleSample, maxStaleSample)
	}
	switch {
	case o.LocalCost < 0 && o.Remote == nil:
		bad("LocalCost %d: the local tier is off and there is no Remote: nothing would be cached", o.LocalCost)
	case o.LocalCost >= 0 && o.LocalCost < minLocalCost:
		bad("LocalCost %d: must be at least %d, or negative for no local tier", o.LocalCost, minLocalCost)
	}
	if o.MaxBody < minMaxBody || o.MaxBody > codec.MaxBody {
		bad("MaxBody %d: must be from %d to %d", o.MaxBody, minMaxBody, codec.MaxBody)
	}
	switch {
	case o.Policy.Mode > policy.Behind:
		bad("Policy: mode %v is unknown", o.Policy.Mode)
	case o.Policy.Mode != policy.Aside && (o.Policy.Store == nil || o.Policy.Loader == nil):
		bad("Policy: %v needs a source that loads and stores", o.Policy.Mode)
	}
	if o.Policy.Mode == policy.Behind {
		if o.Policy.Journal == nil {
			bad("Policy: %v needs a journal", o.Policy.Mode)
		}
		if err := o.Policy.Writing.Validate(); err != nil {
			bad("Policy: Writing: %w", err)
		}
	}
	return errors.Join(errs...)
}
