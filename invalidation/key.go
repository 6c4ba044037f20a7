package invalidation

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/strata-cache/strata/internal/secret"
)

// MinKeySize is the length of the shortest key with which frames are signed, in bytes, and of every key that is parsed.
const MinKeySize = 32

// A Key is a secret with an id, with which the nodes of a fleet know each other's frames. However it is printed or logged, it
// shows the id alone. The zero Key is none.
type Key struct {
	id  string
	tag tag

	// sign holds the secret, which is nowhere else. A function, because package fmt reaches through a field that is not
	// exported, past Format: %s of a struct with such a Key would show it.
	sign func(parts ...[]byte) [codeSize]byte
}

// tag is what names a key in a frame: a digest of its id.
type tag [4]byte

// domain sets what is signed here apart from what else the same secret may sign.
const domain = "strata invalidation frame 1\x00"

// NewKey makes a key of at least MinKeySize secret bytes, which it copies. They must be random: neither a password nor a hash of
// one. The id has 1 to 64 letters, digits, '.', '_' or '-', and is never used for another secret.
func NewKey(id string, key []byte) (Key, error) {
	if err := secret.CheckID(id); err != nil {
		return Key{}, fmt.Errorf("invalidation: %w", err)
	}
	if len(key) < MinKeySize {
		return Key{}, fmt.Errorf("invalidation: key %q: %d bytes, at least %d", id, len(key), MinKeySize)
	}
	if err := secret.CheckRandom(id, key); err != nil {
		return Key{}, fmt.Errorf("invalidation: %w", err)
	}
	k := Key{id: id}
	digest := sha256.Sum256([]byte("strata invalidation key " + id))
	copy(k.tag[:], digest[:])
	key = slices.Clone(key)
	k.sign = func(parts ...[]byte) (code [codeSize]byte) {
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, domain)
		for _, part := range parts {
			mac.Write(part)
		}
		copy(code[:], mac.Sum(nil))
		return code
	}
	return k, nil
}

// ParseKey is NewKey of MinKeySize bytes in words: 64 hexadecimal digits, or base64, of either alphabet, with or without padding.
// Space around it is ignored, so that it can be read from a file. `openssl rand -base64 32` makes one.
func ParseKey(id, text string) (Key, error) {
	key, err := secret.Parse(id, text, MinKeySize)
	if err != nil {
		return Key{}, fmt.Errorf("invalidation: %w", err)
	}
	return NewKey(id, key)
}

// ID returns the key's id.
func (k Key) ID() string { return k.id }

// String returns the id.
func (k Key) String() string { return "key " + k.id }

// Format prints what String returns, whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue logs what String returns.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A Keyring signs frames under one key, and accepts those that are signed under it or under one of others. [NewKeyring] makes one.
// It is safe for concurrent use, by any number of buses. However it is printed or logged, it shows the ids of its keys alone.
type Keyring struct{ state atomic.Pointer[[]Key] }

// NewKeyring makes a Keyring that signs under primary, and accepts it and the others. No two may share an id.
func NewKeyring(primary Key, others ...Key) (*Keyring, error) {
	k := &Keyring{}
	if err := k.Replace(primary, others...); err != nil {
		return nil, err
	}
	return k, nil
}

// Replace puts these keys in the place of all that k had, also on buses at work. Frames under a key that nobody has any more are
// refused like a stranger's, so a key is first accepted everywhere, then signed under, and the old one left out last. After an
// error k has the keys that it had.
func (k *Keyring) Replace(primary Key, others ...Key) error {
	keys := append([]Key{primary}, others...)
	for i, key := range keys {
		if key.sign == nil {
			return errors.New("invalidation: a Key that neither NewKey nor ParseKey has made")
		}
		if j := slices.IndexFunc(keys[:i], func(o Key) bool { return o.tag == key.tag }); j >= 0 {
			return fmt.Errorf("invalidation: the keyring has %v and %v, which cannot be told apart: give one another id", keys[j], key)
		}
	}
	k.state.Store(&keys)
	return nil
}

// keys returns what k holds now, the primary first. Nobody changes it.
func (k *Keyring) keys() []Key {
	if keys := k.state.Load(); keys != nil {
		return *keys
	}
	return nil
}

// find returns the key of a tag.
func (k *Keyring) find(t tag) (Key, bool) {
	for _, key := range k.keys() {
		if key.tag == t {
			return key, true
		}
	}
	return Key{}, false
}

// String returns the ids, the one that signs first.
func (k *Keyring) String() string {
	var ids []string
	for _, key := range k.keys() {
		ids = append(ids, key.id)
	}
	return "keyring of " + strings.Join(ids, ", ")
}

// Format prints what String returns, whatever the verb.
func (k *Keyring) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue logs what String returns.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }
