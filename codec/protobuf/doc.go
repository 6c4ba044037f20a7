// Package protobuf encodes messages of Protocol Buffers:
//
//	cache, err := tier.New("products", &tier.Options[int, *pb.Product]{Remote: store, Codec: protobuf.New[*pb.Product]()})
//
// Without it a cache takes messages for structs and stores their exported fields as MessagePack: fields that this program does
// not know are lost, and the evolution below does not hold.
//
// # Evolution
//
// The schema of a message is its full name alone. So a message that evolves by the rules of Protocol Buffers loses no
// stored value: a program reads what its earlier and its later versions wrote; a field that it does not know is kept as
// it is, and one that was not written has its default. Where that default would be wrong, as with a price that earlier
// versions did not write, give the cache a new version, or the message a new name. A change that breaks those rules,
// such as a number used again for another type, needs the same.
//
// # Limits
//
// A message may nest [codec.MaxDepth] deep. A nil message is an error: what does not exist is ErrNotFound, and not a value.
// Decoded messages are shared by all callers of a cache, as all values are: set tier.Options.Clone to proto.CloneOf if they
// change them.
package protobuf
