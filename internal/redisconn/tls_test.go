package redisconn_test

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

func authority(t *testing.T) (*testcert.Authority, *testcert.Leaf) {
	t.Helper()
	ca, err := testcert.New(t.TempDir(), "strata test CA")
	servertest.Require(t, err)
	leaf, err := ca.Issue("leaf", nil)
	servertest.Require(t, err)
	return ca, leaf
}

func TestFilesOfTLSMayBeReplaced(t *testing.T) {
	t.Parallel()
	ca, leaf := authority(t)
	s := servertest.Redis(t, &server.RedisOptions{TLS: &server.RedisTLS{Authority: ca, Leaf: leaf, Mutual: true}})
	_, foreign := authority(t)
	cert, key := t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
	install := func(l *testcert.Leaf) {
		for from, to := range map[string]string{l.CertFile: cert, l.KeyFile: key} {
			b, err := os.ReadFile(from)
			servertest.Require(t, err)
			servertest.Require(t, os.WriteFile(to, b, 0o600))
		}
	}
	install(foreign)
	query := url.Values{"tls_ca": {ca.File}, "tls_cert": {cert}, "tls_key": {key}, "timeout": {"10s"}}
	c := open(t, "rediss://"+s.Addr()+"?"+query.Encode(), nil)
	err := get(t.Context(), c, "a")
	if !errors.Is(err, sentinel.ErrUnavailable) || !redisconn.NotSent(err) || !strings.Contains(err.Error(), s.Addr()) || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "authority") {
		t.Errorf("a foreign certificate: %v", err)
	}
	install(leaf)
	if err := get(t.Context(), c, "a"); err != nil {
		t.Errorf("after it was replaced: %v", err)
	}
}

func TestTheServersNameMayBeGiven(t *testing.T) {
	t.Parallel()
	ca, client := authority(t)
	leaf, err := ca.Issue("server", &testcert.LeafOptions{Hosts: []string{"cache.test"}})
	servertest.Require(t, err)
	c := servertest.RedisCluster(t, &server.ClusterOptions{Replicas: 1, Node: server.RedisOptions{TLS: &server.RedisTLS{Authority: ca, Leaf: leaf, Mutual: true}}})
	query := url.Values{"tls_ca": {ca.File}, "tls_cert": {client.CertFile}, "tls_key": {client.KeyFile}}
	o := &redisconn.Options{Timeout: 10 * time.Second}
	err = get(t.Context(), open(t, c.URL()+"?"+query.Encode(), o), "a")
	if !errors.Is(err, sentinel.ErrUnavailable) || !redisconn.NotSent(err) || !strings.Contains(err.Error(), "certificate for 127.0.0.1") {
		t.Errorf("members that are dialled by address: %v", err)
	}
	query.Set("tls_server_name", "cache.test")
	named := open(t, c.URL()+"?"+query.Encode(), o)
	for _, key := range []string{"a", "b", "c", "d"} {
		if err := get(t.Context(), named, key); err != nil {
			t.Error(err)
		}
	}
}
