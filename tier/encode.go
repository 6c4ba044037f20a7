package tier

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
	"unsafe"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

// life is how long something lives from now on.
type life struct{ ttl, soft time.Duration }

// lifeOf returns how long an answer is kept, 0 for not at all.
func (c *Cache[K, V]) lifeOf(opts *call, a policy.Answer[V]) life {
	l := life{ttl: c.opts.TTL, soft: c.opts.SoftTTL}
	if a.Err != nil {
		l = life{ttl: c.opts.NegativeTTL}
	} else if opts.ttl > 0 {
		l.ttl = opts.ttl
	} else if a.TTL > 0 {
		l.ttl = max(a.TTL, minTTL)
	}
	if opts.softTTL > 0 && a.Err == nil {
		l.soft = opts.softTTL
	}
	if c.opts.Jitter > 0 {
		keep := 1 - c.opts.Jitter*rand.Float64()
		l.ttl, l.soft = time.Duration(float64(l.ttl)*keep), time.Duration(float64(l.soft)*keep)
	}
	if l.soft >= l.ttl {
		l.soft = 0
	}
	return l
}

// newEntry makes the local form of an answer of the source.
func (c *Cache[K, V]) newEntry(w *want[K, V], a policy.Answer[V], l life, opts *call) *entry[K, V] {
	now := mono.Now()
	e := &entry[K, V]{facts: facts[K, V]{
		key:      w.key,
		hash:     w.hash,
		stripe:   w.stripe,
		value:    a.Value,
		negative: a.Err != nil,
		created:  time.Now(),
		tags:     a.Tags,
		version:  a.Version,
		from:     Source,
		fresh:    forever,
		expiry:   now + min(l.ttl, c.opts.LocalTTL),
		epoch:    w.at.epoch,
		gen:      w.at.gen,
		tagged:   w.at.tags,
		bound:    c.boundFrom(w.began),
	}}
	if opts.tags != nil {
		e.tags = opts.tags
	}
	e.slots = slotsOf(e.tags)
	if l.soft > 0 {
		e.fresh = now + l.soft
	}
	e.cost = c.weigh(e, 0)
	return e
}

// boundFrom is until when something read at began may be served without a trusted bus.
func (c *Cache[K, V]) boundFrom(began time.Duration) time.Duration {
	if c.remote == nil && c.bus == nil {
		return forever
	}
	return began + c.opts.MaxStaleness
}

// boundOf is that of what was found for w: neither it, nor the markers by which it was judged, were asked for later.
func (c *Cache[K, V]) boundOf(w *want[K, V]) time.Duration {
	if w.marks != nil {
		return c.boundFrom(min(w.began, w.marks.began))
	}
	return c.boundFrom(w.began)
}

func (c *Cache[K, V]) weigh(e *entry[K, V], encoded int) int64 {
	cost := int64(overhead + unsafe.Sizeof(*e))
	if k, ok := any(e.key).(string); ok {
		cost += int64(len(k))
	}
	switch v := any(e.value).(type) {
	case string:
		cost += int64(len(v))
	case []byte:
		cost += int64(len(v))
	default:
		if c.opts.Weigh == nil {
			cost += int64(encoded)
		}
	}
	if c.opts.Weigh != nil && !e.negative {
		cost = overhead + max(0, c.opts.Weigh(e.key, e.value))
	}
	return cost
}

// encode makes the record of e at remoteKey, under a token that it puts into e. It lives l.ttl from now.
func (c *Cache[K, V]) encode(remoteKey string, e *entry[K, V], l life, s stamp, p invalidation.Position) ([]byte, error) {
	e.token, e.stamp, e.pos = record.NewToken(), s, p
	now := time.Now()
	h := record.Header{Version: record.Version, Kind: record.Value, Token: e.token, Expiry: now.Add(l.ttl)}
	env := codec.Envelope{
		Created: e.created, Tags: e.tags, Version: e.version, Negative: e.negative,
		Incarnation: s.incarnation, Position: s.n,
	}
	if l.soft > 0 {
		env.SoftExpiry = now.Add(l.soft)
	}
	if c.guard != nil {
		env.Extensions = []codec.Extension{{Type: codec.ExtensionPosition, Value: appendPosition(nil, p)}}
	}
	b := record.AppendHeader(make([]byte, 0, 256), h)
	b, err := c.format().Encode(b, &env, c.seal(remoteKey, h), e.value)
	if err != nil {
		return nil, err
	}
	e.cost = c.weigh(e, env.Size)
	return b, nil
}

// decode reads a value record that was found at w.
func (c *Cache[K, V]) decode(w *want[K, V], h record.Header, body []byte) (*entry[K, V], error) {
	if h.Kind != record.Value {
		return nil, &codec.DecodeError{Reason: codec.ReasonVersion, Detail: fmt.Sprintf("a record of kind %d", h.Kind)}
	}
	v, env, err := c.format().Decode(body, c.seal(w.remoteKey, h))
	if err != nil {
		return nil, err
	}
	now, wall := mono.Now(), time.Now()
	e := &entry[K, V]{facts: facts[K, V]{
		key:      w.key,
		hash:     w.hash,
		stripe:   w.stripe,
		value:    v,
		negative: env.Negative,
		created:  env.Created,
		version:  env.Version,
		token:    h.Token,
		stamp:    stamp{env.Incarnation, env.Position},
		from:     Remote,
		pos:      positionOf(&env),
		fresh:    forever,
		expiry:   now + min(h.Expiry.Sub(wall), c.opts.LocalTTL),
		epoch:    w.at.epoch,
		gen:      w.at.gen,
		tagged:   w.at.tags,
		bound:    c.boundOf(w),
	}}
	e.tags = append(e.tags, env.Tags...)
	e.slots = slotsOf(e.tags)
	if !env.SoftExpiry.IsZero() {
		e.fresh = now + env.SoftExpiry.Sub(wall)
	}
	e.cost = c.weigh(e, env.Size)
	return e, nil
}

// appendPosition appends what an extension of type ExtensionPosition holds.
func appendPosition(b []byte, p invalidation.Position) []byte {
	return binary.BigEndian.AppendUint64(append(b, p.Incarnation[:]...), p.N)
}

// positionOf returns the position of an envelope, zero if it has none.
func positionOf(env *codec.Envelope) (p invalidation.Position) {
	for _, x := range env.Extensions {
		if n := len(p.Incarnation); x.Type == codec.ExtensionPosition && len(x.Value) == n+8 {
			copy(p.Incarnation[:], x.Value)
			p.N = binary.BigEndian.Uint64(x.Value[n:])
		}
	}
	return p
}

func (c *Cache[K, V]) format() codec.Format[V] {
	return codec.Format[V]{
		Codec: c.opts.Codec, Compression: c.opts.Compression, Encryption: c.opts.Encryption, MaxBody: c.opts.MaxBody,
	}
}

// seal says where the body of h's record belongs: at the key as the servers have it, behind all key spaces, so that no
// record of one cache or tenant passes for one of another.
func (c *Cache[K, V]) seal(remoteKey string, h record.Header) codec.Seal {
	return codec.Seal{Key: c.remote.Key(remoteKey), Version: h.Version, Kind: byte(h.Kind), Token: h.Token}
}
