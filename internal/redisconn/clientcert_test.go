package redisconn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

func TestAServerThatWantsAClientCertificateIsSaidToWantOne(t *testing.T) {
	t.Parallel()
	authority := func(name string) (*testcert.Authority, *testcert.Leaf) {
		ca, err := testcert.New(t.TempDir(), name)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := ca.Issue("leaf", nil)
		if err != nil {
			t.Fatal(err)
		}
		return ca, leaf
	}
	ca, leaf := authority("ours")
	_, foreign := authority("foreign")
	srv := servertest.Redis(t, &server.RedisOptions{TLS: &server.RedisTLS{Authority: ca, Leaf: leaf, Mutual: true}})

	chosen := ca.ClientConfig()
	chosen.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign.Certificate, nil }
	refused := ca.ClientConfig()
	refused.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return nil, errors.New("the file is gone")
	}
	for name, c := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"none":            {ca.ClientConfig(), "and none was given"},
		"foreign":         {ca.ClientConfig(foreign), "may not accept the one given"},
		"foreign, chosen": {chosen, "may not accept the one given"},
		"unreadable":      {refused, "the file is gone"},
		"ours":            {ca.ClientConfig(leaf), ""},
	} {
		for range 20 { // the server's alert and its reset race
			conn, err := redisconn.Open(srv.URL(), &redisconn.Options{TLS: c.config, Timeout: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			_, err = redisconn.Do(t.Context(), conn, func(ctx context.Context) (string, error) { return conn.Client().Ping(ctx).Result() })
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s: %v", name, err)
			case c.want != "" && (!errors.Is(err, sentinel.ErrUnavailable) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s: error %v, want %q", name, err, c.want)
			}
			if err := conn.Close(); err != nil {
				t.Errorf("%s: Close: %v", name, err)
			}
		}
	}
}

func TestCloseOfConnectionsThatWereResetOverTLSIsNoError(t *testing.T) {
	t.Parallel()
	ca, err := testcert.New(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue("leaf", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := servertest.Redis(t, &server.RedisOptions{TLS: &server.RedisTLS{Authority: ca, Leaf: leaf}})
	proxy, err := wire.New(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	for range 10 {
		conn, err := redisconn.Open("rediss://"+proxy.Addr(), &redisconn.Options{TLS: ca.ClientConfig(), Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Call(t.Context(), func(ctx context.Context) error { return conn.Client().Ping(ctx).Err() }); err != nil {
			t.Fatal(err)
		}
		proxy.Cut()
		if err := conn.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
