package urlparam_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/urlparam"
)

func TestHostsAreReadInTheirOrder(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"b":                       {"b:11211"},
		"B:1,a,10.0.0.1:3":        {"b:1", "a:11211", "10.0.0.1:3"},
		"[::1],[2001:DB8::2]:100": {"[::1]:11211", "[2001:db8::2]:100"},
	} {
		if got, err := urlparam.Hosts(list, "11211"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", list, got, err, want)
		}
	}
}

func TestBadHostsAreNamedWithoutTheirSecrets(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"":                  "no server is named",
		"a,,b":              "a server has no host",
		":1":                "a server has no host",
		"a,A:11211":         "server a:11211 is named twice",
		"a:0":               `server "a": its port is not a number from 1 to 65535`,
		"a:65536":           `server "a": its port is not a number from 1 to 65535`,
		"a:+1":              `server "a": its port is not a number from 1 to 65535`,
		"a:":                `server "a": its port is not a number from 1 to 65535`,
		"user:secret":       `server "user": its port is not a number from 1 to 65535`,
		"::secret":          `server "" is not host:port`,
		"user:secret@a:1":   `server "user" is not host:port`,
		"secret@a":          "a server's host has characters that no host has",
		"a b":               "a server's host has characters that no host has",
		"a:x,b:secret,[::1": "server \"a\": its port is not a number from 1 to 65535\nserver \"b\": its port is not a number from 1 to 65535\nserver \"[\" is not host:port",
	} {
		_, err := urlparam.Hosts(list, "11211")
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwant %s", list, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows what may be a password: %v", list, err)
		}
	}
}
