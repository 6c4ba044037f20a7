// Package compression makes payloads shorter, by S2 or by Zstandard:
//
//	c, err := compression.New(&compression.Options{Algorithm: compression.Zstd})
//	cache, err := tier.New("products", &tier.Options[int, Product]{Remote: store, Compression: c})
//
// [S2] costs least time and is the default; [Zstd] is about a third smaller and takes several times as long. Whatever a
// compressor writes, it reads what either of them wrote, so a fleet can change from one to the other without losing a
// value. Payloads that are short, or that would not become shorter, stay as they are; see [Options].
//
// # Dictionaries
//
// Small values of one kind have much in common, and nothing of it shows within one of them: alone, a product of 300
// bytes hardly shrinks. With a dictionary, which is nothing but such values put together, it takes half. A
// compressor writes with the first of [Options.Dictionaries] and reads with all of them. Each compressed payload names
// its dictionary by a hash of the contents, so another dictionary can never be taken for it, and one that is not known
// is a miss.
//
// To change dictionaries without losing values, first give the new one to all nodes behind the old one; then put it in
// front; take the old one out when what it wrote has expired.
//
// # Limits
//
// A payload is not decompressed if it declares more than [Options.MaxSize]; it is refused before anything is allocated
// for it, and no input makes a compressor write beyond what was declared. So a record that was made to explode costs at
// most MaxSize.
//
// NOTE: the length of what is compressed tells of its contents. docs/security.md says when that matters.
package compression
