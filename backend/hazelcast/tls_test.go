package hazelcast_test

import (
	"crypto/tls"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

func leaf(t *testing.T, a *testcert.Authority, name string, o *testcert.LeafOptions) *testcert.Leaf {
	t.Helper()
	l, err := a.Issue(name, o)
	must(t, err)
	return l
}

func authority(t *testing.T) *testcert.Authority {
	t.Helper()
	a, err := testcert.New(t.TempDir(), "authority")
	must(t, err)
	return a
}

func parameter(name, value string) string { return name + "=" + url.QueryEscape(value) }

// clientAddr is where member i listens for clients, behind its proxy.
func (f *fleet) clientAddr(t *testing.T, i int) string {
	t.Helper()
	u, err := url.Parse(f.members[i].URL())
	must(t, err)
	return u.Host
}

// mutualTLS puts a terminator behind the address that each member tells, and gives the client the first of them: it has to
// find the other, and to be let in there too.
func (f *fleet) mutualTLS(t *testing.T) {
	a := authority(t)
	config := &tls.Config{
		Certificates: []tls.Certificate{leaf(t, a, "server", nil).Certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: a.Pool(),
	}
	client := leaf(t, a, "client", nil)
	var before []int
	for i, p := range f.network.Proxies() {
		p.SetTarget(servertest.Terminator(t, f.clientAddr(t, i), config).Addr())
		t.Cleanup(func() { p.SetTarget(f.clientAddr(t, i)) })
		before = append(before, p.Accepted())
	}
	s := openStore(t, f.at(f.network.Addrs()[0], "timeout=10s", parameter("tls_ca", a.File),
		parameter("tls_cert", client.CertFile), parameter("tls_key", client.KeyFile)), nil)
	eventually(t, "both members are asked", func() bool {
		for i, p := range f.network.Proxies() {
			if p.Accepted() == before[i] {
				return false
			}
		}
		return true
	})
	var ops []driver.Op
	for range 50 { // over the partitions of both members
		b, token := value("secret", time.Hour)
		ops = append(ops, addOp(token.String(), b, time.Hour))
	}
	for i, e := range s.Write(t.Context(), ops...) {
		if e.Outcome != driver.Done {
			t.Fatalf("%v, %v", e.Outcome, e.Err)
		}
		if r := s.Get(t.Context(), ops[i].Key)[0]; record.TokenOf(r.Record).String() != ops[i].Key {
			t.Errorf("%x, %v", r.Record, r.Err)
		}
	}
	plain := openStore(t, f.at(f.network.Addrs()[0]), nil)
	if err := plain.Ping(t.Context()); !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("without TLS: %v", err)
	}
}

// rejections are stores of the first member that it, or a terminator before it, does not let in, or that do not trust it.
func (f *fleet) rejections(t *testing.T) []backendtest.Rejection {
	a, other := authority(t), authority(t)
	member := f.clientAddr(t, 0)
	server := leaf(t, a, "server", nil)
	present := func(l *testcert.Leaf, clients *testcert.Authority) string {
		config := &tls.Config{Certificates: []tls.Certificate{l.Certificate}}
		if clients != nil {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
		}
		return servertest.Terminator(t, member, config).Addr()
	}
	reject := func(name, addr, cause string, parameters ...string) backendtest.Rejection {
		return backendtest.Rejection{
			Name: name,
			Open: func(t *testing.T) (*backend.Store, error) {
				return hazelcast.Open(t.Context(), f.at(addr, parameters...), nil)
			},
			Words:   []string{addr, cause},
			Secrets: []string{"sesame", "PRIVATE"},
		}
	}
	trust := parameter("tls_ca", a.File)
	client := leaf(t, other, "client", nil)
	wrongName := reject("wrong-cluster-name", member, `"nobody"`)
	wrongName.Open = func(t *testing.T) (*backend.Store, error) {
		return hazelcast.Open(t.Context(), "hazelcast://"+member+"?cluster=nobody", nil)
	}
	user := reject("wrong-password", member, "password is wrong")
	user.Open = func(t *testing.T) (*backend.Store, error) {
		return hazelcast.Open(t.Context(), f.at(member), &hazelcast.Options{Username: "user", Password: "sesame"})
	}
	return []backendtest.Rejection{
		reject("wrong-ca", present(server, nil), "unknown authority", parameter("tls_ca", other.File)),
		reject("expired", present(leaf(t, a, "expired", &testcert.LeafOptions{NotAfter: time.Now().Add(-time.Hour)}), nil), "expired", trust),
		reject("wrong-host", present(leaf(t, a, "elsewhere", &testcert.LeafOptions{Hosts: []string{"elsewhere.test"}}), nil), "127.0.0.1", trust),
		reject("no-certificate", present(server, a), "certificate required", trust),
		reject("strange-certificate", present(server, a), "unknown certificate authority", trust,
			parameter("tls_cert", client.CertFile), parameter("tls_key", client.KeyFile)),
		wrongName,
		user,
	}
}
