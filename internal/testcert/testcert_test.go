package testcert_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/testcert"
)

func authority(t *testing.T) *testcert.Authority {
	t.Helper()
	ca, err := testcert.New(t.TempDir(), "test CA")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *testcert.Authority, o *testcert.LeafOptions) *testcert.Leaf {
	t.Helper()
	l, err := ca.Issue("leaf", o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// meet lets a client and a server shake hands, and returns what the client says.
func meet(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with its one connection, or the listener
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), client)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1)) // with TLS 1.3 a refused client certificate shows here
	return err
}

func TestWhoTrustsTheAuthorityAcceptsItsLeaves(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	l := issue(t, ca, nil)
	fromFiles, err := tls.LoadX509KeyPair(l.CertFile, l.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]*tls.Config{
		"in memory":                {Certificates: []tls.Certificate{l.Certificate}},
		"from the files":           {Certificates: []tls.Certificate{fromFiles}},
		"that asks for the client": {Certificates: []tls.Certificate{l.Certificate}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert},
	} {
		if err := meet(t, server, ca.ClientConfig(l)); err != nil {
			t.Errorf("a server's certificate %s: %v", name, err)
		}
	}
}

func TestBadLeavesAreRefused(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	for want, o := range map[string]*testcert.LeafOptions{
		"expired":       {NotAfter: time.Now().Add(-time.Minute)},
		"not 127.0.0.1": {Hosts: []string{"other.example", "127.0.0.2"}},
	} {
		l := issue(t, ca, o)
		err := meet(t, &tls.Config{Certificates: []tls.Certificate{l.Certificate}}, ca.ClientConfig())
		var bad *tls.CertificateVerificationError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	stranger := issue(t, authority(t), nil)
	if err := meet(t, &tls.Config{Certificates: []tls.Certificate{stranger.Certificate}}, ca.ClientConfig()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a certificate of another authority: %v", err)
	}
	server := &tls.Config{Certificates: []tls.Certificate{issue(t, ca, nil).Certificate}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	if err := meet(t, server, ca.ClientConfig(stranger)); err == nil {
		t.Error("a client's certificate of another authority is accepted")
	}
}
