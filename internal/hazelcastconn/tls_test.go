package hazelcastconn_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

type certificates struct {
	authority, other               *testcert.Authority
	server, expired, wrong, client *testcert.Leaf
}

func issue(t testing.TB) (c certificates) {
	t.Helper()
	var err error
	c.authority, err = testcert.New(t.TempDir(), "authority")
	must(t, err)
	c.other, err = testcert.New(t.TempDir(), "other")
	must(t, err)
	c.server, err = c.authority.Issue("server", nil)
	must(t, err)
	c.expired, err = c.authority.Issue("expired", &testcert.LeafOptions{NotAfter: time.Now().Add(-time.Hour)})
	must(t, err)
	c.wrong, err = c.authority.Issue("wrong", &testcert.LeafOptions{Hosts: []string{"elsewhere.test"}})
	must(t, err)
	c.client, err = c.authority.Issue("client", nil)
	must(t, err)
	return c
}

func config(server *testcert.Leaf, clients *testcert.Authority) *tls.Config {
	o := &tls.Config{Certificates: []tls.Certificate{server.Certificate}}
	if clients != nil {
		o.ClientAuth, o.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
	}
	return o
}

func parameter(name, value string) string { return name + "=" + url.QueryEscape(value) }

func TestTLSAndMutualTLSThroughATerminator(t *testing.T) {
	t.Parallel()
	certs := issue(t)
	member := servertest.SharedHazelcast(t).Addr()
	plain, mutual := servertest.Terminator(t, member, config(certs.server, nil)), servertest.Terminator(t, member, config(certs.server, certs.authority))
	for name, c := range map[string]*hazelcastconn.Conn{
		"parameters": open(t, through(t, plain.Addr(), parameter("tls_ca", certs.authority.File), "timeout=10s"), nil),
		"options":    open(t, through(t, plain.Addr(), "timeout=10s"), &hazelcastconn.Options{TLS: certs.authority.ClientConfig()}),
		"another name": open(t, through(t, servertest.Terminator(t, member, config(certs.wrong, nil)).Addr(),
			parameter("tls_ca", certs.authority.File), "tls_server_name=elsewhere.test", "timeout=10s"), nil),
		"mutual": open(t, through(t, mutual.Addr(), parameter("tls_ca", certs.authority.File),
			parameter("tls_cert", certs.client.CertFile), parameter("tls_key", certs.client.KeyFile), "timeout=10s"), nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			works(t, c)
		})
	}
}

func TestWhatIsWrongWithACertificateIsSaidWithTheServersName(t *testing.T) {
	t.Parallel()
	certs := issue(t)
	member := servertest.SharedHazelcast(t).Addr()
	trusted := func() *tls.Config { return certs.authority.ClientConfig() }
	for name, tc := range map[string]struct {
		at     string
		client *tls.Config
		want   string
	}{
		"another authority":       {servertest.Terminator(t, member, config(certs.server, nil)).Addr(), certs.other.ClientConfig(), "signed by unknown authority"},
		"expired":                 {servertest.Terminator(t, member, config(certs.expired, nil)).Addr(), trusted(), "expired"},
		"of another host":         {servertest.Terminator(t, member, config(certs.wrong, nil)).Addr(), trusted(), "127.0.0.1"},
		"the client has none":     {servertest.Terminator(t, member, config(certs.server, certs.authority)).Addr(), trusted(), "certificate required"},
		"the client's is strange": {servertest.Terminator(t, member, config(certs.server, certs.other)).Addr(), certs.authority.ClientConfig(certs.client), "certificate"},
		"no TLS at the server":    {proxy(t).Addr(), trusted(), "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, through(t, tc.at, "timeout=3s"), &hazelcastconn.Options{
				TLS: tc.client, Username: "user", Password: "sesame",
			})
			_, err := get(t, c, "k")
			if !errors.Is(err, sentinel.ErrUnavailable) || !hazelcastconn.NotSent(err) {
				t.Errorf("%v", err)
			}
			for _, want := range []string{tc.at, tc.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("%q tells the password", err)
			}
			var invalid *tls.CertificateVerificationError
			var unknown x509.UnknownAuthorityError
			if name == "another authority" && !(errors.As(err, &invalid) && errors.As(err, &unknown)) {
				t.Errorf("%v is no certificate's error", err)
			}
		})
	}
}

// A server that speaks TLS takes what a plain client says for garbage.
func TestAPlainClientAtATLSPortIsAnError(t *testing.T) {
	t.Parallel()
	certs := issue(t)
	at := servertest.Terminator(t, servertest.SharedHazelcast(t).Addr(), config(certs.server, nil)).Addr()
	_, err := get(t, open(t, through(t, at, "timeout=1s"), nil), "k")
	if !errors.Is(err, sentinel.ErrUnavailable) || !strings.Contains(err.Error(), at) {
		t.Errorf("%v", err)
	}
}

func TestCertificatesOfTheClientAreReadAnewForEachConnection(t *testing.T) {
	t.Parallel()
	certs := issue(t)
	_, err := hazelcastconn.Open("hazelcast://h?"+parameter("tls_cert", certs.client.CertFile)+"&"+parameter("tls_key", certs.server.KeyFile), nil)
	if err == nil || !strings.Contains(err.Error(), "tls_key") {
		t.Errorf("a key that is not the certificate's: %v", err)
	}
}
