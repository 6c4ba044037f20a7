package redis_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

// rejections are stores that a secured server does not let in, or that do not trust their server.
func rejections(t *testing.T, tp topology, certs *server.RedisTLS) []backendtest.Rejection {
	t.Helper()
	// served is a server with another certificate of the same authority.
	served := func(name string, o *testcert.LeafOptions) topology {
		leaf, err := certs.Authority.Issue(name, o)
		if err != nil {
			t.Fatal(err)
		}
		s := servertest.Redis(t, &server.RedisOptions{TLS: &server.RedisTLS{Authority: certs.Authority, Leaf: leaf}})
		return one("", s, redis.Options{TLS: certs.Authority.ClientConfig()})
	}
	reject := func(name string, tp topology, change func(o *redis.Options), is error, words ...string) backendtest.Rejection {
		o := tp.options
		o.Timeout = 6 * depthTimeout // the suite allows ten for a rejection
		if change != nil {
			change(&o)
		}
		url := "rediss://" + tp.data[0].Addr() // without the password of the default user
		return backendtest.Rejection{
			Name:    name,
			Open:    func(t *testing.T) (*backend.Store, error) { return redis.Open(t.Context(), url, &o) },
			Words:   append(words, tp.data[0].Addr()),
			Secrets: []string{user.Password, "wr0ng", "root"},
			Is:      is,
		}
	}
	other := certificates(t, nil)
	denied := reject("missing-permission", tp, func(o *redis.Options) { o.Username, o.Password = reader.Name, reader.Password },
		backend.ErrDenied, "evalsha", reader.Name)
	denied.Calls = []string{"Add", "Swap", "Place", "Delete", "Count"}
	return []backendtest.Rejection{
		denied,
		reject("wrong-ca", tp, func(o *redis.Options) { o.TLS = other.Authority.ClientConfig(certs.Leaf) }, nil, "unknown authority"),
		reject("expired", served("expired", &testcert.LeafOptions{NotAfter: time.Now().Add(-time.Minute)}), nil, nil, "expired"),
		reject("wrong-host", served("elsewhere", &testcert.LeafOptions{Hosts: []string{"elsewhere.test"}}), nil, nil, "127.0.0.1"),
		reject("no-certificate", tp, func(o *redis.Options) { o.TLS = certs.Authority.ClientConfig() }, nil, "certificate"),
		reject("foreign-certificate", tp, func(o *redis.Options) {
			o.TLS = &tls.Config{RootCAs: certs.Authority.Pool(), Certificates: []tls.Certificate{other.Leaf.Certificate}}
		}, nil, "certificate"),
		reject("wrong-password", tp, func(o *redis.Options) { o.Password = "wr0ng" }, backend.ErrDenied, "WRONGPASS"),
		reject("no-password", tp, func(o *redis.Options) { o.Username, o.Password = "", "" }, backend.ErrDenied, "NOAUTH"),
	}
}
