package main

import (
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

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
