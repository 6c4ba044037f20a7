package remotekey_test

import (
	"testing"

	"github.com/strata-cache/strata/internal/remotekey"
)

func TestKeysAreWrittenSoThatTheirOwnBracesAreNone(t *testing.T) {
	t.Parallel()
	prefix := remotekey.Prefix("products", "v1")
	for key, want := range map[string]string{
		"":           "products/v1/{}",
		"42":         "products/v1/{42}",
		"a{b}c":      "products/v1/{a%7Bb%7Dc}",
		"100%":       "products/v1/{100%25}",
		"%7B":        "products/v1/{%257B}",
		"\x00\xff/{": "products/v1/{\x00\xff/%7B}",
	} {
		if got := remotekey.Join(prefix, key); got != want {
			t.Errorf("%q is written %q, want %q", key, got, want)
		}
	}
}

func TestWhatIsNoKeyOfACacheIsNotReadAsOne(t *testing.T) {
	t.Parallel()
	prefix := remotekey.Prefix("products", "v1")
	for _, remoteKey := range []string{
		"", "products/v1/{", "products/v1/{42", "products/v2/{42}", "product/v1/{42}", "products/v1/markers",
		"products/v1/{42}/refresh", "products/v1/{a{b}", "products/v1/{%7b}", "products/v1/{5%}",
	} {
		if key, ok := remotekey.Split(prefix, remoteKey); ok {
			t.Errorf("%q is read as %q", remoteKey, key)
		}
	}
	for remoteKey, want := range map[string]string{"products/v1/{42}": "v1", "products/2/{/{}": "2", "products/v1/markers": "", "product/v1/{42}": ""} {
		if got, ok := remotekey.Version("products", remoteKey); ok != (want != "") || ok && got != want {
			t.Errorf("%q is of version %q, %t", remoteKey, got, ok)
		}
	}
}

func FuzzKeysAreReadAsTheyWereWritten(f *testing.F) {
	for _, key := range []string{"", "42", "{}", "%", "%7B%25", "a%2", "\x00\xff"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		prefix := remotekey.Prefix("c", "1")
		remoteKey := remotekey.Join(prefix, key)
		if got, ok := remotekey.Split(prefix, remoteKey); !ok || got != key {
			t.Errorf("%q, written %q, is read as %q, %t", key, remoteKey, got, ok)
		}
		if got, ok := remotekey.Version("c", remoteKey); !ok || got != "1" {
			t.Errorf("%q is of version %q, %t", remoteKey, got, ok)
		}
		if got, ok := remotekey.Split(prefix, key); ok && remotekey.Join(prefix, got) != key {
			t.Errorf("%q is read as %q", key, got)
		}
	})
}
