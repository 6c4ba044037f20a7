package memcached_test

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

const (
	user     = "bob"
	password = "p@ss/w?rd%"
)

func newAuthority(t *testing.T) *testcert.Authority {
	t.Helper()
	ca, err := testcert.New(t.TempDir(), "strata test")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *testcert.Authority, name string, o *testcert.LeafOptions) *testcert.Leaf {
	t.Helper()
	leaf, err := ca.Issue(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// secured starts a server that wants a certificate of its clients, a user and a password, and returns the options for it.
func secured(t *testing.T, ca *testcert.Authority) (*server.Server, memcached.Options) {
	t.Helper()
	srv := startSecured(t, issue(t, ca, "server", nil), ca)
	return srv, memcached.Options{Username: user, Password: password, TLS: ca.ClientConfig(issue(t, ca, "client", nil))}
}

func startSecured(t *testing.T, leaf *testcert.Leaf, clients *testcert.Authority) *server.Server {
	t.Helper()
	return servertest.Memcached(t, &server.MemcachedOptions{
		Username: user, Password: password, TLS: &server.MemcachedTLS{Leaf: leaf, Clients: clients},
	})
}

// Not parallel: its subject is the whole process.
func TestDepthOfTLSAndUsers(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
		ca := newAuthority(t)
		srv, o := secured(t, ca)
		d := depth(t, "memcached-tls-user", o, srv)
		d.Lies = nil // nobody can lie within TLS
		d.Rejections = rejections(t, ca, srv, o)
		return d
	})
}

// Not parallel: its subject is the whole process.
func TestDepthOfThreeServersOfAMembership(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
		return depth(t, "memcached-three-membership", memcached.Options{Membership: newRegister()}, own(t, 3)...)
	})
}

func rejections(t *testing.T, ca *testcert.Authority, srv *server.Server, good memcached.Options) []backendtest.Rejection {
	good.Timeout = depthTimeout
	rejected := func(name string, srv *server.Server, change func(o *memcached.Options), words ...string) backendtest.Rejection {
		o := good
		change(&o)
		scheme := "memcacheds"
		if o.TLS == nil {
			scheme = "memcached"
		}
		return backendtest.Rejection{
			Name: name,
			Open: func(t *testing.T) (*backend.Store, error) {
				return memcached.Open(t.Context(), scheme+"://"+srv.Addr(), &o)
			},
			Words:   append(words, srv.Addr()),
			Secrets: []string{password, url.QueryEscape(password), "a guess"},
		}
	}
	same := func(*memcached.Options) {}
	wrong := rejected("wrong-password", srv, func(o *memcached.Options) { o.Password = "a guess" }, "user name and password")
	wrong.Is = memcached.ErrCredentials
	none := rejected("no-password", srv, func(o *memcached.Options) { o.Username, o.Password = "", "" }, "user name and password")
	none.Is = memcached.ErrCredentials
	old := issue(t, ca, "expired", &testcert.LeafOptions{NotAfter: time.Now().Add(-time.Minute)})
	other := issue(t, ca, "elsewhere", &testcert.LeafOptions{Hosts: []string{"elsewhere.example", "10.1.2.3"}})
	return []backendtest.Rejection{
		wrong,
		none,
		rejected("wrong-ca", srv, func(o *memcached.Options) { o.TLS = newAuthority(t).ClientConfig() }, "TLS", "unknown authority"),
		rejected("expired", startSecured(t, old, nil), same, "TLS", "expired"),
		rejected("wrong-host", startSecured(t, other, nil), same, "TLS", "10.1.2.3"),
		rejected("no-client-certificate", srv, func(o *memcached.Options) { o.TLS = ca.ClientConfig() }, "client's certificate"),
		rejected("no-tls", srv, func(o *memcached.Options) { o.TLS = nil }),
	}
}

func TestAURLSaysHowToAuthenticateAndWhomToTrust(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	srv, _ := secured(t, ca)
	client := issue(t, ca, "client", nil)
	query := url.Values{
		"tls_ca": {ca.File}, "tls_cert": {client.CertFile}, "tls_key": {client.KeyFile}, "tls_server_name": {"localhost"}, "timeout": {"10s"},
	}
	s, err := backend.Open(t.Context(), srv.URL()+"?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.String(), user) || !strings.HasPrefix(s.String(), "memcacheds://") {
		t.Errorf("the store calls itself %s", s)
	}
}

func TestCredentialsOfOptionsWinOverThoseOfTheURL(t *testing.T) {
	t.Parallel()
	srv, o := secured(t, newAuthority(t))
	o.Timeout = 10 * time.Second
	s := openWith(t, "memcacheds://nobody:wrong@"+srv.Addr(), &o)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesWhatItCannotDoSecurely(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for name, c := range map[string]struct {
		url  string
		o    memcached.Options
		want string
	}{
		"TLS without its scheme":        {"memcached://h", memcached.Options{TLS: ca.ClientConfig()}, "use memcacheds://"},
		"parameters without its scheme": {"memcached://h?tls_server_name=x", memcached.Options{}, "use memcacheds://"},
		"an authority that is no file":  {"memcacheds://h?tls_ca=/nowhere", memcached.Options{}, "tls_ca"},
		"a user without password":       {"memcached://bob@h", memcached.Options{}, "both or none"},
		"a user with a space":           {"memcached://h", memcached.Options{Username: "b b", Password: "secret"}, "cannot carry"},
		"a password with a line end":    {"memcached://u:secret%0D%0Aflush_all@h", memcached.Options{}, "cannot carry"},
		"a password with a ?":           {"memcached://u:sec?ret@h", memcached.Options{}, "malformed URL"},
		"a password with a @ and a ?":   {"memcached://u:p@a?secret@h", memcached.Options{}, "malformed URL"},
		"a password with a /":           {"memcached://u:secret/@h/", memcached.Options{}, ""},
	} {
		s, err := memcached.Open(t.Context(), c.url, &c.o)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else {
				s.Close()
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ret@") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestAPasswordIsNotLeftOnAServerThatWantsNone(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := openWith(t, "memcached://"+srv.Addr(), &memcached.Options{Username: user, Password: "secret", Timeout: 5 * time.Second})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("get strata:user\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 100)
	if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "END\r\n" {
		t.Errorf("%q, %v", answer[:n], errors.Unwrap(err))
	}
}
