package encryption

import (
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a key in bytes.
const KeySize = chacha20poly1305.KeySize

var idForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

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
func NewKey(id string, secret []byte) (Key, error) {
	if !idForm.MatchString(id) {
		return Key{}, fmt.Errorf("encryption: key %q: the id must be 1 to 64 letters, digits, '.', '_' or '-'", id)
	}
	if len(secret) != KeySize {
		return Key{}, fmt.Errorf("encryption: key %q: %d bytes, must be %d", id, len(secret), KeySize)
	}
	if repeats(secret) {
		return Key{}, fmt.Errorf("encryption: key %q: all bytes are the same: it must be random", id)
	}
	aead, err := chacha20poly1305.NewX(secret)
	if err != nil {
		return Key{}, fmt.Errorf("encryption: key %q: %w", id, err)
	}
	return Key{id: id, aead: func() cipher.AEAD { return aead }}, nil
}

// ParseKey is NewKey of a secret in words: 64 hexadecimal digits, or base64, of either alphabet, with or without padding.
// Space around it is ignored, so that it can be read from a file.
func ParseKey(id, text string) (Key, error) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(KeySize) {
		if secret, err := hex.DecodeString(text); err == nil {
			return NewKey(id, secret)
		}
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	secret, err := base64.RawStdEncoding.Strict().DecodeString(plain)
	if err != nil || len(secret) != KeySize { // err quotes what it found
		return Key{}, fmt.Errorf("encryption: key %q: %d characters that are not %d bytes in base64 or hexadecimal", id, len(text), KeySize)
	}
	return NewKey(id, secret)
}

// repeats reports whether secret is one byte, over and over.
func repeats(secret []byte) bool {
	for _, b := range secret {
		if b != secret[0] {
			return false
		}
	}
	return true
}

// ID returns the key's id.
func (k Key) ID() string { return k.id }

// String returns the id.
func (k Key) String() string { return "key " + k.id }

// Format prints what String returns, whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue logs what String returns.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
