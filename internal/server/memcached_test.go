//go:build unix

package server_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

func TestMemcachedKeepsItsDataAcrossAWarmRestartOnly(t *testing.T) {
	t.Parallel()
	s := servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true})
	expect(t, s, "ms k 4\r\nkept", "HD")
	pid := s.Pid()
	restart(t, s)
	if s.Pid() == pid {
		t.Error("the same process")
	}
	expect(t, s, "mg k v", "VA 4")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	expect(t, s, "mg k v", "EN")
}

func TestMemcachedWithUsersRefusesOthers(t *testing.T) {
	t.Parallel()
	s := servertest.Memcached(t, &server.MemcachedOptions{Username: "bob", Password: "pass"})
	if want := "memcached://bob:pass@" + s.Addr(); s.URL() != want {
		t.Errorf("URL %s, want %s", s.URL(), want)
	}
	expect(t, s, "mn", "CLIENT_ERROR unauthenticated")
	expect(t, s, "set x 0 0 8\r\nbob pass", "STORED")
}

func TestMemcachedSpeaksTLS(t *testing.T) {
	t.Parallel()
	ca, err := testcert.New(t.TempDir(), "strata test")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue("server", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := servertest.Memcached(t, &server.MemcachedOptions{TLS: &server.MemcachedTLS{Leaf: leaf, Clients: ca}})
	if !strings.HasPrefix(s.URL(), "memcacheds://") {
		t.Errorf("URL %s", s.URL())
	}
	conn, err := tls.Dial("tcp", s.Addr(), ca.ClientConfig(leaf))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestMemcachedOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*server.MemcachedOptions{
		"a user without password": {Username: "bob"},
		"a password with a space": {Username: "bob", Password: "a b"},
		"TLS without certificate": {TLS: &server.MemcachedTLS{}},
	} {
		if s, err := server.Memcached(context.Background(), o); err == nil {
			t.Errorf("%s: no error", name)
			s.Close()
		}
	}
}
