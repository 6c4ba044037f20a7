// Package codec turns values into bytes that a remote tier can keep, and back, so that what comes back is the value
// that was stored or an error, whatever happened to the bytes in between.
//
// # Codecs
//
// A [Codec] knows one format for one type:
//
//	codec.MessagePack[Product]()   // the default: compact, fast, any type
//	codec.JSON[Product]()          // for people and other languages
//	codec.Bytes(), codec.String()  // what the application encoded itself
//	protobuf.New[*pb.Product]()    // package codec/protobuf
//
// A codec has an [ID], which names its format, and a schema, which is a fingerprint of the structure of its type. Both
// travel with every value. A value of another format or structure is not decoded at all: a program whose Product has a
// new field treats the old ones as missing, and never as Products with strange contents. [Versioned] gives it hooks
// with which it reads them.
//
// # The envelope
//
// What a remote tier keeps of a value is an [Envelope]: when it was made, until when it is fresh, its tags, the position
// of the bus and the version of the source that it reflects, and the payload that the codec made. [Encode] and [Decode]
// do both steps; [AppendEnvelope] and [ParseEnvelope] leave the payload to the caller. A checksum covers all of it and
// its [Seal], which is where it belongs: its key and the record around it. A body that was cut, flipped or put at another
// key does not parse.
//
// A negative envelope says that the source has no such value. It has no payload.
//
// # Layers
//
// A [Format] is a codec with what happens between it and the remote tier: a [Compressor] for the payload (package
// codec/compression) and a [Cipher] for the whole envelope (package codec/encryption). What is encrypted is bound to
// its seal, and cannot be moved, mixed or replaced by whoever has no key. A node that has other layers than the writer
// of a body takes it for a miss.
//
// # Failures are misses
//
// All that can be wrong with stored bytes is a [*DecodeError], whose [Reason] is what a cache counts misses by. Bytes
// are checked before anything is made of them: the version, the checksum or the cipher's tag, the limits ([MaxBody],
// [MaxTags], …), and in MessagePack every length that is declared ([MaxDepth] and docs/codec.md have the details).
// Nothing panics, and no input of n bytes makes a decoder allocate more than a multiple of n that V alone determines.
//
// # Concurrency and ownership
//
// Codecs are safe for concurrent use and hold nothing of a call. What they append belongs to the caller, and what they
// decode shares no memory with the input. Only [ParseEnvelope] returns parts of its input; it says which.
//
// Package codectest has the rules that a codec of your own has to keep.
package codec
