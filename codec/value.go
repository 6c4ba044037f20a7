package codec

// Encode is [Format.Encode] of a format that neither compresses nor encrypts.
func Encode[V any](c Codec[V], dst []byte, e *Envelope, s Seal, v V) (body []byte, err error) {
	return Format[V]{Codec: c}.Encode(dst, e, s, v)
}

// Decode is [Format.Decode] of a format that neither compresses nor encrypts.
func Decode[V any](c Codec[V], body []byte, s Seal) (v V, e Envelope, err error) {
	return Format[V]{Codec: c}.Decode(body, s)
}
