package encryption_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/strata-cache/strata/codec/encryption"
)

// secret has bytes for which the two alphabets of base64 differ.
var secret = append([]byte{0xfb, 0xff, 0xfe}, bytes.Repeat([]byte("s3cr"), 8)[:29]...)

func TestAKeyIsParsedFromEveryFormOfItsBytes(t *testing.T) {
	t.Parallel()
	want, err := encryption.NewKey("k", secret)
	if err != nil {
		t.Fatal(err)
	}
	b := encrypt(t, newRing(t, want), "value", "c")
	for _, text := range []string{
		hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)), base64.StdEncoding.EncodeToString(secret),
		base64.RawStdEncoding.EncodeToString(secret), base64.URLEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
		" " + base64.StdEncoding.EncodeToString(secret) + "\r\n",
	} {
		key, err := encryption.ParseKey("k", text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, err := newRing(t, key).Decrypt(b, []byte("c")); string(got) != "value" || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestBadKeysAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	long := base64.StdEncoding.EncodeToString(append([]byte("password"), secret...))
	for _, text := range []string{
		"", "password", hex.EncodeToString(secret)[1:], hex.EncodeToString(secret) + "0", strings.Repeat("x", 64), long, long[:42],
		base64.StdEncoding.EncodeToString(secret[1:]), "password\n" + base64.StdEncoding.EncodeToString(secret),
		strings.Repeat("0", 64), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("p"), 32)), strings.Repeat("+", 42) + "/",
	} {
		_, err := encryption.ParseKey("k", text)
		if err == nil {
			t.Errorf("%q is a key", text)
			continue
		}
		for i := 0; i+6 <= len(text); i++ {
			if strings.Contains(err.Error(), text[i:i+6]) {
				t.Errorf("%q: the error quotes it: %v", text, err)
			}
		}
	}
	for _, id := range []string{"", "a b", "ä", strings.Repeat("x", 65), "a/b"} {
		if _, err := encryption.NewKey(id, secret); err == nil {
			t.Errorf("%q is an id", id)
		}
	}
	if _, err := encryption.NewKey("k", secret[:31]); err == nil {
		t.Error("31 bytes are a key")
	}
}

func TestNothingThatIsPrintedOrLoggedShowsAKey(t *testing.T) {
	t.Parallel()
	key, err := encryption.NewKey("2026-11", secret)
	if err != nil {
		t.Fatal(err)
	}
	other := newKey(t, "2026-08")
	ring := newRing(t, key, other)
	type options struct {
		Key    encryption.Key
		hidden encryption.Key
		Ring   *encryption.Keyring
		ring   *encryption.Keyring
		Any    any
	}
	values := []any{
		key, &key, ring, []encryption.Key{key}, map[string]encryption.Key{"a": key}, map[*encryption.Keyring]*encryption.Key{ring: &key},
		options{key, key, ring, ring, key}, &options{key, key, ring, ring, ring}, fmt.Errorf("%w", fmt.Errorf("%v", key)),
	}
	var shown strings.Builder
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		j, _ := json.Marshal(v)
		shown.Write(j)
		for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(h).Info("keys", "v", v, "group", slog.GroupValue(slog.Any("v", v)))
		}
	}
	for _, part := range [][]byte{secret[:6], secret[8:14], secret[26:]} {
		for _, form := range []string{
			string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)), base64.StdEncoding.EncodeToString(part)[:6],
			strings.Trim(fmt.Sprint(part), "[]"), strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"),
		} {
			if strings.Contains(shown.String(), form) {
				t.Errorf("%q is shown", form)
			}
		}
	}
	if got := fmt.Sprintf("%v, %+v, %#v", key, ring, ring); got != "key 2026-11, keyring of 2026-11, 2026-08, keyring of 2026-11, 2026-08" {
		t.Error(got)
	}
}
