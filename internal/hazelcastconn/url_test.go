package hazelcastconn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/sentinel"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ url, server, redacted string }{
		{"hazelcast://localhost", "localhost:5701/dev/strata", "hazelcast://localhost:5701?cluster=dev&map=strata"},
		{"hazelcast://B:1,a,[::1]:9/?cluster=c&map=m", "[::1]:9,a:5701,b:1/c/m", "hazelcast://b:1,a:5701,[::1]:9?cluster=c&map=m"},
		{"hazelcast://u:p%40ss@h", "h:5701/dev/strata", "hazelcast://u:xxxxx@h:5701?cluster=dev&map=strata"},
		{"hazelcast://u:p@ss@h,i", "h:5701,i:5701/dev/strata", "hazelcast://u:xxxxx@h:5701,i:5701?cluster=dev&map=strata"},
	} {
		c, err := hazelcastconn.Open(tc.url, &hazelcastconn.Options{Timeout: time.Millisecond})
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		if c.Server() != tc.server || c.Redacted() != tc.redacted {
			t.Errorf("%s: %s, %s", tc.url, c.Server(), c.Redacted())
		}
		for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%#v", c), fmt.Sprintf("%+v", c)} {
			if strings.Contains(shown, "p@ss") || strings.Contains(shown, "p%40ss") {
				t.Errorf("%s tells the password", shown)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBadURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "hazelcast", "hazelcast://", "hazelcast://h,h", "redis://h", "user:sesame@h://x", "hazelcast://user:sesame@h:port", "hazelcast://user:sesame@h/path",
		"hazelcast://h?timeout=0s", "hazelcast://h?max_reply=0", "hazelcast://h?tls=no", "hazelcast://h?tls_ca=/nowhere", "hazelcast://h?tls_cert=a", "hazelcast://h?timeout=x", "hazelcast://h?cluster=", "hazelcast://h?a=b",
		"hazelcast://h?map=a&map=b", "hazelcast://h#f", "hazelcast://::1:2:3", "hazelcast://user:sesame%zz@h", "hazelcast://user:sesame@h?%zz",
	} {
		c, err := hazelcastconn.Open(url, nil)
		if err == nil {
			t.Errorf("%q: no error", url)
			c.Close()
		} else if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v tells the password", err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	c, err := hazelcastconn.Open("hazelcast://127.0.0.1:1?timeout=200ms", nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = c.Map(t.Context())
	if !errors.Is(err, sentinel.ErrUnavailable) || !hazelcastconn.NotSent(err) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Map: %v", err)
	}
	if took := time.Since(start); took < timeout || took > 10*timeout {
		t.Errorf("it took %v", took)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err = c.Client(t.Context()); !errors.Is(err, sentinel.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
