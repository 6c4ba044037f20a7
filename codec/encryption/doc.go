// Package encryption encrypts what a cache stores at its remote tier, so that whoever holds the server, its disk or its
// traffic can neither read values nor put one in the place of another:
//
//	key, err := encryption.ParseKey("2026-11", os.Getenv("CACHE_KEY")) // openssl rand -base64 32
//	keys, err := encryption.New(key)
//	cache, err := tier.New("products", &tier.Options[int, Product]{Remote: store, Encryption: keys})
//
// XChaCha20-Poly1305 encrypts the whole envelope: value, tags, times and versions. The record is bound to where it
// belongs, its key with the cache's name and version and the store's key space, and its kind and token. One that was
// changed, or moved to another key, cache or tenant, is refused: to the cache it is a miss, counted by its reason
// (codec.ReasonAuthentication). docs/security.md says what encryption does not hide.
//
// # Rotation
//
// A [Keyring] encrypts under its primary key and decrypts under all of its keys, which records name by their ids. So
// keys are changed without losing a value:
//
//  1. give all nodes the new key beside the old one: New(old, next);
//  2. make it the primary: New(next, old);
//  3. when the TTL of what was written before has passed, leave the old one out: New(next).
//
// [Keyring.Replace] does each step in a running program.
//
// # Secrets
//
// No error, and no way to print or log a [Key] or a [Keyring], shows key material. The ids of keys are not secret: they
// stand in every record.
package encryption
