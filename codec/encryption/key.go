package encryption

import (
	"crypto/cipher"
	"fmt"
	"io"
	"log/slog"

	"github.com/strata-cache/strata/internal/secret"
	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a key in bytes.
const KeySize = chacha20poly1305.KeySize

// A Key is a secret with an id. However it is printed or logged, it shows the id alone. The zero Key is none.
type Key struct {
	id string

	// aead holds the secret, which is nowhere else. A function, because package fmt reaches through a pointer in a
	// field that is not exported, past Format: %s of a struct with such a Key would show it.
	aead func() cipher.AEAD
}

// NewKey makes a key of KeySize secret bytes, which it copies. They must be random: neither a password nor a hash of
// one. The id has 1 to 64 letters, digits, '.', '_' or '-'; it is stored with every record, and is never used for
// another secret.
func NewKey(id string, key []byte) (Key, error) {
	if err := secret.CheckID(id); err != nil {
		return Key{}, fmt.Errorf("encryption: %w", err)
	}
	if len(key) != KeySize {
		return Key{}, fmt.Errorf("encryption: key %q: %d bytes, must be %d", id, len(key), KeySize)
	}
	if err := secret.CheckRandom(id, key); err != nil {
		return Key{}, fmt.Errorf("encryption: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return Key{}, fmt.Errorf("encryption: key %q: %w", id, err)
	}
	return Key{id: id, aead: func() cipher.AEAD { return aead }}, nil
}

// ParseKey is NewKey of a secret in words: 64 hexadecimal digits, or base64, of either alphabet, with or without padding.
// Space around it is ignored, so that it can be read from a file.
func ParseKey(id, text string) (Key, error) {
	key, err := secret.Parse(id, text, KeySize)
	if err != nil {
		return Key{}, fmt.Errorf("encryption: %w", err)
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
