package memo

import (
	"log/slog"
	"reflect"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/tier"
)

// Options configures the cache of a function: its fields are those of [tier.Options] of the same names, with the same meanings,
// defaults and limits. The zero value is a local cache whose results live for ten minutes.
type Options struct {
	Remote *backend.Store    // the tier that all processes share; the caller closes it. Nil: the cache is local
	Bus    *invalidation.Bus // tells all processes what is invalidated; the caller closes it. Nil: none

	TTL         time.Duration // how long a result may be served. Default 10 minutes
	SoftTTL     time.Duration // when it becomes stale: it is served while the function is called behind. Default 0: never
	NegativeTTL time.Duration // how long an ErrNotFound of the function is kept. Default 0: it is not; other errors never are
	LocalTTL    time.Duration // how long this process serves it without looking at Remote. Default TTL
	Jitter      float64       // of the TTLs, from 0 to 0.9. Default 0

	// Version is part of every key: another version is another, empty cache. Change it when the function's results mean
	// something else than they did. Default "1".
	Version string

	MaxStaleness time.Duration   // how old a result any process may serve after an invalidation. Default 3 s
	LoadTimeout  time.Duration   // of one call of the function, and of storing its result. Default 30 s
	LeaseTTL     time.Duration   // how soon a process that died while it called is replaced. Default 5 s
	OnContention tier.Contention // what a call does while another process calls. Default tier.Wait

	LocalCost   int64            // how much this process may hold, in bytes. Default 64 MiB; negative: nothing
	MaxBody     int              // how long an encoded result may be, in bytes. Default 64 MiB
	Compression codec.Compressor // of results at Remote. Default nil: none
	Encryption  codec.Cipher     // of results at Remote; keys hold the arguments, and are not encrypted. Default nil: none

	RepairLog   tier.RepairLog   // keeps what is to be repaired over the death of this process. Default nil
	StaleSample int              // how many local results a second are compared with Remote. Default 0: none
	OnEvent     func(tier.Event) // is told of what went wrong without failing a call. Default nil
	Logger      *slog.Logger     // is told the same. Default nil
}

// tierOptions returns the fields of o, which may be nil, as options of a cache.
func tierOptions[K comparable, V any](o *Options) *tier.Options[K, V] {
	out := new(tier.Options[K, V])
	if o == nil {
		return out
	}
	from, to := reflect.ValueOf(o).Elem(), reflect.ValueOf(out).Elem()
	for i := range from.NumField() {
		to.FieldByName(from.Type().Field(i).Name).Set(from.Field(i))
	}
	return out
}

// An Option is one that depends on the function's types, or declares a variant. What does not fit the function is an error of New.
type Option func(*declared)

// declared is what the Options of a function say.
type declared struct {
	contexts []contextVariant
	args     []argsVariant
	describe any // func(A, *Answer[V]); New looks
	clone    any // func(V) V
	weigh    any // func(V) int64
	codec    any // codec.Codec[V]
}

// Describe has describe look at each answer of the function before it is kept, and set its TTL, Tags and Version. For functions of
// several arguments A is [Args2] or [Args3]. describe may be called concurrently, and must change nothing else; its panic is the call's error.
//
//	memo.Describe(func(_ string, r *memo.Answer[Token]) { r.TTL = time.Until(r.Value.Expires) })
func Describe[A, V any](describe func(args A, answer *Answer[V])) Option {
	return func(d *declared) { d.describe = describe }
}

// Clone copies a result, deeply, so that callers may change what they get. Without it results are shared and must not be changed.
func Clone[V any](clone func(V) V) Option { return func(d *declared) { d.clone = clone } }

// Weigh tells the size of a result in bytes, for Options.LocalCost.
func Weigh[V any](weigh func(V) int64) Option { return func(d *declared) { d.weigh = weigh } }

// Codec encodes results for the remote tier. Default: bytes and strings as they are, anything else as MessagePack.
func Codec[V any](c codec.Codec[V]) Option { return func(d *declared) { d.codec = c } }
