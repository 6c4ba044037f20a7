package main

import (
	"strings"
	"testing"

	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/tier"
)

func TestCompressedValuesCanBeRead(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t).URL()
	store, err := redis.Open(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	zstd, err := compression.New(&compression.Options{Algorithm: compression.Zstd})
	if err != nil {
		t.Fatal(err)
	}
	c, err := tier.New("c", &tier.Options[string, []string]{Remote: store, Compression: zstd})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Set(t.Context(), "k", strings.Fields(strings.Repeat("word ", 1000))); err != nil {
		t.Fatal(err)
	}
	want := `["word",` + strings.Repeat(`"word",`, 998) + `"word"]` + "\n"
	if e := strata(t, "", "", nil, "get", "--backend", url, "--cache", "c", "k"); e.code != 0 || e.out != want {
		t.Errorf("exit code %d, %.100q…, %s", e.code, e.out, e.err)
	}
	if e := strata(t, "", "", nil, "get", "--backend", url, "--cache", "c", "--json", "k"); e.code != 0 || !strings.Contains(e.out, `"compressed": true`) {
		t.Errorf("exit code %d, %s%s", e.code, e.out, e.err)
	}
}

func TestKeysOfARunningCacheCanBeReadAndChanged(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t).URL()
	env := []string{envBackend + "=" + url, envBus + "=" + url}
	const odd = "odd {key} 100%"
	expect := func(code int, out, in string, args ...string) {
		t.Helper()
		if e := strata(t, "", in, env, args...); e.code != code || !strings.Contains(e.out, out) {
			t.Errorf("strata %q: %+v; want exit code %d and %q", args, e, code, out)
		}
	}
	expect(0, "", "", "set", "--cache", "c", "--tag", "t1", odd, "hello")
	expect(0, "hello\n", "", "get", "--cache", "c", odd)
	for _, part := range []string{`"kind": "value"`, `"codec": "string"`, `"t1"`, `"payload": "hello"`} {
		expect(0, part, "", "get", "--cache", "c", "--json", odd)
	}
	expect(0, "", "two\nlines", "set", "--cache", "c", "piped", "-")
	expect(0, "two\nlines", "", "get", "--cache", "c", "--raw", "piped")
	expect(3, "", "", "get", "--cache", "c", "--cache-version", "2", "piped")
	expect(0, "", "", "invalidate", "--cache", "c", "piped")
	expect(3, "", "", "get", "--cache", "c", "piped")
	expect(0, "", "", "delete", "--cache", "c", odd, "nosuch")
	expect(3, "", "", "get", "--cache", "c", odd)
}
