package codec

// An Old is how values of an earlier structure are read. [OldType] and [OldSchema] make one.
type Old[V any] struct {
	id     ID
	schema uint64
	decode func([]byte) (V, error)
}

// OldType reads what c wrote, the codec of an earlier type: keep that type in the program, under another name, for as long
// as such values live. convert makes a V of it; an error of convert is a miss. It must not keep what it shares with others.
func OldType[O, V any](c Codec[O], convert func(O) (V, error)) Old[V] {
	return OldSchema(c.ID(), c.Schema(), func(b []byte) (v V, err error) {
		o, err := c.Decode(b)
		if err != nil {
			return v, err
		}
		return convert(o)
	})
}

// OldSchema reads what a codec of that format and that [Codec.Schema] wrote. The rules for decode are those of
// [Codec.Decode].
func OldSchema[V any](format ID, schema uint64, decode func([]byte) (V, error)) Old[V] {
	return Old[V]{format, schema, decode}
}

// Versioned returns a codec that writes as current does, and also reads what earlier versions of the program wrote, so that
// a deploy which changes V does not empty the cache. Values of a structure that is neither that of current nor one of old
// stay misses. Where two of old are for the same structure the first counts.
//
// Only [Format.Decode] and [Decode] know of old structures, as they know how a value was written; the codec's own Decode
// is that of current.
//
// NOTE: programs of the earlier version do not read what the later one writes. To them it is a miss, and while both run
// they replace each other's values at keys that both use.
func Versioned[V any](current Codec[V], old ...Old[V]) Codec[V] {
	if v, ok := current.(versioned[V]); ok {
		return versioned[V]{v.Codec, append(v.old[:len(v.old):len(v.old)], old...)}
	}
	return versioned[V]{current, old}
}

type versioned[V any] struct {
	Codec[V]
	old []Old[V]
}

// oldOf returns what decodes a payload of e, nil for c itself.
func oldOf[V any](c Codec[V], e *Envelope) (func([]byte) (V, error), error) {
	if e.Codec == c.ID() && e.Schema == c.Schema() {
		return nil, nil
	}
	if v, ok := c.(versioned[V]); ok {
		for _, o := range v.old {
			if e.Codec == o.id && e.Schema == o.schema {
				return o.decode, nil
			}
		}
	}
	if e.Codec != c.ID() {
		return nil, fail(ReasonCodec, "written as "+e.Codec.String()+", not "+c.ID().String())
	}
	return nil, fail(ReasonSchema, "made of a type of another structure")
}
