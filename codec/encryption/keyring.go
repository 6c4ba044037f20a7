package encryption

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/strata-cache/strata/codec"
	"golang.org/x/crypto/chacha20poly1305"
)

// A Keyring is a [codec.Cipher] with any number of keys. [New] makes one. It is safe for concurrent use. However it is printed or logged, it
// shows the ids of its keys alone.
type Keyring struct{ state atomic.Pointer[ring] }

// A ring is what a Keyring holds at a time. It does not change.
type ring struct {
	primary cipher.AEAD
	header  []byte // of what the primary encrypts
	ids     []string
	keys    map[string]cipher.AEAD // by id, the primary among them
}

// New makes a Keyring that encrypts under primary, and decrypts under it and the others. No two may share an id.
func New(primary Key, others ...Key) (*Keyring, error) {
	k := &Keyring{}
	if err := k.Replace(primary, others...); err != nil {
		return nil, err
	}
	return k, nil
}

// Replace puts these keys in the place of all that k had. Calls that have begun end under the keys with which they began.
// After an error k has the keys that it had.
func (k *Keyring) Replace(primary Key, others ...Key) error {
	r := &ring{header: header(primary.id), keys: map[string]cipher.AEAD{}}
	for _, key := range append([]Key{primary}, others...) {
		if key.aead == nil {
			return errors.New("encryption: a Key that neither NewKey nor ParseKey has made")
		}
		if r.keys[key.id] != nil {
			return fmt.Errorf("encryption: the keyring has %v twice", key)
		}
		r.keys[key.id] = key.aead()
		r.ids = append(r.ids, key.id)
	}
	r.primary = r.keys[primary.id]
	k.state.Store(r)
	return nil
}

// What Encrypt writes: a byte that says how, the length of the key's id and the id, the nonce, the ciphertext with its tag.
const formXChaCha20Poly1305 = 1

func header(id string) []byte {
	return append([]byte{formXChaCha20Poly1305, byte(len(id))}, id...)
}

// Encrypt implements [codec.Cipher] under the primary key. The nonce is 24 random bytes, of which no two are ever the same.
func (k *Keyring) Encrypt(dst, plaintext, context []byte) ([]byte, error) {
	r := k.state.Load()
	dst = slices.Grow(dst, len(r.header)+chacha20poly1305.NonceSizeX+len(plaintext)+chacha20poly1305.Overhead)
	dst = append(dst, r.header...)
	at := len(dst)
	dst = dst[:at+chacha20poly1305.NonceSizeX]
	rand.Read(dst[at:]) // never fails, by its documentation
	return r.primary.Seal(dst, dst[at:], plaintext, context), nil
}

// Decrypt implements [codec.Cipher] under the key that ciphertext names.
func (k *Keyring) Decrypt(ciphertext, context []byte) ([]byte, error) {
	if len(ciphertext) < 2 || ciphertext[0] != formXChaCha20Poly1305 || len(ciphertext)-2 < int(ciphertext[1]) {
		return nil, errForeign
	}
	at := 2 + int(ciphertext[1])
	id, rest := ciphertext[2:at], ciphertext[at:]
	aead := k.state.Load().keys[string(id)]
	if aead == nil {
		return nil, errUnknownKey
	}
	if len(rest) < chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, errForeign
	}
	nonce, sealed := rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:]
	plaintext, err := aead.Open(make([]byte, 0, len(sealed)-chacha20poly1305.Overhead), nonce, sealed, context)
	if err != nil {
		return nil, errForeign // whatever was wrong: the same error
	}
	return plaintext, nil
}

var (
	errUnknownKey = &codec.DecodeError{Reason: codec.ReasonKey, Detail: "encrypted under a key that is not in the keyring"}
	errForeign    = &codec.DecodeError{Reason: codec.ReasonAuthentication, Detail: "no holder of the key wrote this for this key and record"}
)

// String returns the ids of the keys, the primary first.
func (k *Keyring) String() string {
	r := k.state.Load()
	if r == nil {
		return "keyring without keys"
	}
	return "keyring of " + strings.Join(r.ids, ", ")
}

// Format prints what String returns, whatever the verb.
func (k *Keyring) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue logs what String returns.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }
