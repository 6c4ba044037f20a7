package invalidation_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/strata-cache/strata/invalidation"
)

// secretOf returns a key's bytes for tests, another for each n.
func secretOf(n byte) []byte {
	return append([]byte{n, 0xfb, 0xff, 0xfe}, bytes.Repeat([]byte("s3cr"), 7)...)
}

func newKey(t testing.TB, id string, secret []byte) invalidation.Key {
	t.Helper()
	k, err := invalidation.NewKey(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newRing(t testing.TB, primary invalidation.Key, others ...invalidation.Key) *invalidation.Keyring {
	t.Helper()
	r, err := invalidation.NewKeyring(primary, others...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBadKeysAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	text := base64.StdEncoding.EncodeToString(secretOf(1))
	if _, err := invalidation.ParseKey("k", " "+text+"\n"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "password", text[1:], text + "AAAA", strings.Repeat("0", 64)} {
		_, err := invalidation.ParseKey("k", bad)
		if err == nil || len(bad) > 6 && strings.Contains(err.Error(), bad[:6]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := invalidation.NewKey("k", secretOf(1)[:invalidation.MinKeySize-1]); err == nil {
		t.Error("a short key is a key")
	}
	if _, err := invalidation.NewKey("k", append(secretOf(1), 1, 2, 3)); err != nil {
		t.Error(err)
	}
	if _, err := invalidation.NewKey("a b", secretOf(1)); err == nil {
		t.Error("'a b' is an id")
	}
	k := newKey(t, "k", secretOf(1))
	if _, err := invalidation.NewKeyring(k, newKey(t, "k", secretOf(2))); err == nil {
		t.Error("one id for two keys")
	}
	if _, err := invalidation.NewKeyring(k, invalidation.Key{}); err == nil {
		t.Error("a zero Key in a ring")
	}
}

func TestNothingThatIsPrintedOrLoggedShowsAKey(t *testing.T) {
	t.Parallel()
	secret := secretOf(1)
	key := newKey(t, "2026-11", secret)
	ring := newRing(t, key, newKey(t, "2026-08", secretOf(2)))
	type hidden struct {
		Key  invalidation.Key
		key  invalidation.Key
		ring *invalidation.Keyring
		Any  any
	}
	o := invalidation.Options{Keys: ring}
	var shown strings.Builder
	for _, v := range []any{key, &key, ring, []invalidation.Key{key}, hidden{key, key, ring, ring}, &hidden{key, key, ring, key}, o, &o} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		j, _ := json.Marshal(v)
		shown.Write(j)
		for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(h).Info("keys", "v", v)
		}
	}
	for _, part := range [][]byte{secret[:6], secret[8:14], secret[26:]} {
		for _, form := range []string{
			string(part), hex.EncodeToString(part), base64.StdEncoding.EncodeToString(part)[:6], strings.Trim(fmt.Sprint(part), "[]"),
			strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"),
		} {
			if strings.Contains(shown.String(), form) {
				t.Errorf("%q is shown", form)
			}
		}
	}
	if got := fmt.Sprintf("%v, %#v", key, ring); got != "key 2026-11, keyring of 2026-11, 2026-08" {
		t.Error(got)
	}
}
