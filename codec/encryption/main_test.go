package encryption_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/encryption"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func newKey(t testing.TB, id string) encryption.Key {
	t.Helper()
	secret := make([]byte, encryption.KeySize)
	rand.Read(secret)
	key, err := encryption.NewKey(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRing(t testing.TB, primary encryption.Key, others ...encryption.Key) *encryption.Keyring {
	t.Helper()
	ring, err := encryption.New(primary, others...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func encrypt(t testing.TB, ring *encryption.Keyring, plaintext, context string) []byte {
	t.Helper()
	b, err := ring.Encrypt(nil, []byte(plaintext), []byte(context))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func reasonOf(err error) codec.Reason {
	if d, ok := errors.AsType[*codec.DecodeError](err); ok {
		return d.Reason
	}
	return 0
}
