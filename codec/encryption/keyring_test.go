package encryption_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/encryption"
)

func TestWhatIsEncryptedComesBack(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "2026-11", strings.Repeat("x", 64)} {
		ring := newRing(t, newKey(t, id))
		for _, n := range []int{0, 1, 100, 1 << 20} {
			plaintext := bytes.Repeat([]byte("secret"), n/6+1)[:n]
			b, err := ring.Encrypt([]byte("prefix"), plaintext, []byte("context"))
			if err != nil || !bytes.HasPrefix(b, []byte("prefix")) {
				t.Fatalf("%d bytes: %.20q, %v", n, b, err)
			}
			if want := len("prefix") + 2 + len(id) + 24 + n + 16; len(b) != want {
				t.Errorf("%d bytes became %d, want %d", n, len(b), want)
			}
			if bytes.Contains(b, []byte("secret")) {
				t.Errorf("%d bytes: the plaintext is visible", n)
			}
			kept := bytes.Clone(b)
			got, err := ring.Decrypt(b[len("prefix"):], []byte("context"))
			if err != nil || !bytes.Equal(got, plaintext) || !bytes.Equal(b, kept) {
				t.Errorf("%d bytes: %.20q, %v", n, got, err)
			}
		}
	}
}

func TestAnotherContextIsRefused(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey(t, "k"))
	b := encrypt(t, ring, "value", "products/1/{42}")
	for _, context := range []string{"", "products/1/{43}", "products/1/{42}x", "roducts/1/{42}"} {
		if got, err := ring.Decrypt(b, []byte(context)); reasonOf(err) != codec.ReasonAuthentication || got != nil {
			t.Errorf("%q: %q, %v", context, got, err)
		}
	}
}

func TestEveryFlippedBitAndEveryCutIsRefused(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey(t, "k"), newKey(t, "j"))
	b := encrypt(t, ring, "value", "context")
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			got, err := ring.Decrypt(b, []byte("context"))
			if r := reasonOf(err); got != nil || r != codec.ReasonAuthentication && r != codec.ReasonKey {
				t.Errorf("bit %d of byte %d: %q, %v", bit, i, got, err)
			}
			b[i] ^= 1 << bit
		}
		if got, err := ring.Decrypt(b[:i], []byte("context")); got != nil || reasonOf(err) == 0 {
			t.Errorf("%d of %d bytes: %q, %v", i, len(b), got, err)
		}
	}
	if got, err := ring.Decrypt(append(b, 0), []byte("context")); got != nil || reasonOf(err) != codec.ReasonAuthentication {
		t.Errorf("a byte more: %q, %v", got, err)
	}
}

func TestEveryFailureOfAKnownKeyIsTheSameError(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey(t, "k"))
	b := encrypt(t, ring, "value", "context")
	_, want := ring.Decrypt(b, nil)
	for i := 3; i < len(b); i++ {
		b[i] ^= 1
		if _, err := ring.Decrypt(b, []byte("context")); err != want {
			t.Errorf("byte %d: %v", i, err)
		}
		b[i] ^= 1
	}
}

func TestNoNonceIsUsedTwice(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey(t, "k"))
	seen := map[string]bool{}
	for range 10_000 {
		b := encrypt(t, ring, "value", "context")
		nonce, sealed := string(b[3:27]), string(b[27:])
		if seen[nonce] || seen[sealed] {
			t.Fatal("a nonce or a ciphertext repeats")
		}
		seen[nonce], seen[sealed] = true, true
	}
}

func TestRotationKeepsOldValuesReadable(t *testing.T) {
	t.Parallel()
	old, next := newKey(t, "old"), newKey(t, "next")
	ring := newRing(t, old)
	before := encrypt(t, ring, "before", "c")

	check := func(step string, b []byte, want string, reason codec.Reason) {
		t.Helper()
		if got, err := ring.Decrypt(b, []byte("c")); string(got) != want || reasonOf(err) != reason {
			t.Errorf("%s: %q, %v", step, got, err)
		}
	}
	replace := func(primary encryption.Key, others ...encryption.Key) {
		t.Helper()
		if err := ring.Replace(primary, others...); err != nil {
			t.Fatal(err)
		}
	}
	replace(old, next)
	if b := encrypt(t, ring, "v", "c"); !bytes.Contains(b, []byte("old")) {
		t.Errorf("known, but not yet primary: encrypted under %q", b[2:10])
	}
	replace(next, old)
	after := encrypt(t, ring, "after", "c")
	check("both: before", before, "before", 0)
	check("both: after", after, "after", 0)
	if !bytes.Contains(after, []byte("next")) {
		t.Errorf("primary: encrypted under %q", after[2:10])
	}
	replace(next)
	check("the old one is gone: before", before, "", codec.ReasonKey)
	check("the old one is gone: after", after, "after", 0)

	if err := ring.Replace(next, next); err == nil {
		t.Error("a ring with the same key twice")
	}
	if err := ring.Replace(encryption.Key{}); err == nil {
		t.Error("a ring with the zero Key")
	}
	check("after a Replace that failed", after, "after", 0)
}

func TestAKeyOfTheSameIDAndAnotherSecretIsRefused(t *testing.T) {
	t.Parallel()
	b := encrypt(t, newRing(t, newKey(t, "k")), "value", "c")
	if got, err := newRing(t, newKey(t, "k")).Decrypt(b, []byte("c")); got != nil || reasonOf(err) != codec.ReasonAuthentication {
		t.Errorf("%q, %v", got, err)
	}
}

func TestConcurrentUseDuringRotation(t *testing.T) {
	t.Parallel()
	a, b := newKey(t, "a"), newKey(t, "b")
	ring := newRing(t, a, b)
	var all sync.WaitGroup // joined below
	for i := range 4 {
		all.Go(func() {
			for n := range 500 {
				context := fmt.Append(nil, i, n)
				sealed, err := ring.Encrypt(nil, context, context)
				if err != nil {
					t.Error(err)
				}
				if got, err := ring.Decrypt(sealed, context); err != nil || !bytes.Equal(got, context) {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	for range 200 {
		if err := ring.Replace(b, a); err != nil {
			t.Error(err)
		}
		if err := ring.Replace(a, b); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

// FuzzDecrypt checks that nothing that the ring did not write comes back, and that no input panics.
func FuzzDecrypt(f *testing.F) {
	ring := newRing(f, newKey(f, "k"))
	f.Add([]byte{}, []byte{})
	f.Add([]byte{1, 255}, []byte("c"))
	f.Add(append([]byte{1, 254}, make([]byte, 300)...), []byte("c"))
	f.Add(append([]byte{1, 1, 'k'}, make([]byte, 40)...), []byte("c"))
	f.Add(encrypt(f, ring, "value", "context"), []byte("another"))
	f.Fuzz(func(t *testing.T, b, context []byte) {
		if got, err := ring.Decrypt(b, context); got != nil || reasonOf(err) == 0 {
			t.Fatalf("%x under %x: %q, %v", b, context, got, err)
		}
		sealed, err := ring.Encrypt(nil, b, context)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ring.Decrypt(sealed, context); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x under %x: %q, %v", b, context, got, err)
		}
	})
}
