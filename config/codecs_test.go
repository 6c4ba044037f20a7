package config_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-cache/strata/config"
)

// newKey is the text of a key, another for each n.
func newKey(n byte) string {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = n + byte(i)
	}
	return hex.EncodeToString(secret)
}

// stored returns what the remote tier holds at a key.
func stored(t *testing.T, set *config.Set, remote, key string) string {
	t.Helper()
	var f *fake
	set.Remote(remote).As(&f)
	f.mu.Lock()
	defer f.mu.Unlock()
	record, ok := f.data[set.Remote(remote).Key(key)]
	if !ok {
		t.Fatalf("nothing at %s: %v", key, f.data)
	}
	return string(record)
}

func TestValuesAreCompressedAndEncryptedAsTheFileSays(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("a value that can be seen. ", 100)
	file := `
remotes: {main: memory://m}
encryption: {secret: {one: "${KEY}"}}
defaults: {remote: main, bus: none, compression: s2}
caches:
  plain: {compression: off}
  short: {}
  large: {compression_threshold: 1MiB}
  closed: {compression: zstd, encryption: secret}
`
	set := parse(t, newWorld(), file, "KEY="+newKey(1))
	for name, want := range map[string]struct{ visible, short bool }{
		"plain": {visible: true}, "large": {visible: true}, "short": {visible: true, short: true}, "closed": {short: true},
	} {
		c, err := config.Cache[string, string](set, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Set(t.Context(), "k", value); err != nil {
			t.Fatal(err)
		}
		got := stored(t, set, "main", name+"/1/{k}")
		if strings.Contains(got, "can be seen") != want.visible || (len(got) < len(value)/2) != want.short {
			t.Errorf("%s: %d bytes stored of %d, visible: %t", name, len(got), len(value), strings.Contains(got, "can be seen"))
		}
	}
}

func TestKeysAreRotatedWithoutLosingValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for n, id := range []string{"old", "new"} {
		if err := os.WriteFile(filepath.Join(dir, id), []byte(newKey(byte(n))+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shared := map[string][]byte{}
	open := func(keys ...string) *config.Set {
		file := "remotes: {main: memory://m}\nencryption:\n  ring:\n"
		for _, id := range keys {
			file += fmt.Sprintf("    %s: file:%s\n", id, filepath.Join(dir, id))
		}
		w := newWorld()
		w.shared = shared
		return parse(t, w, file+"caches: {c: {remote: main, local_cost: off, encryption: ring}}")
	}
	before, after, next := open("old"), open("new", "old"), open("new")
	get := func(set *config.Set) string {
		c, err := config.Cache[string, string](set, "c")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		v, err := c.Get(t.Context(), "k")
		return fmt.Sprint(v, " ", err)
	}
	c, err := config.Cache[string, string](before, "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	if got := get(after); got != "v <nil>" {
		t.Errorf("with both keys: %s", got)
	}
	if got := get(next); !strings.Contains(got, "not found") {
		t.Errorf("without the old key: %s", got)
	}
}

func TestKeysDoNotShow(t *testing.T) {
	t.Parallel()
	k := config.Key{ID: "2026-11", Secret: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{k, &k, []config.Key{k}, struct{ K config.Key }{k}} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "hunter2") || strings.Contains(got, "68756e746572") {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
	}
}
