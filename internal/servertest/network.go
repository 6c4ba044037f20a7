package servertest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/strata-cache/strata/internal/fault/wire"
)

// Dialer makes a connection.
type Dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// Named gives the servers behind n a name. It returns the address of the first under that name, a dialer that knows it, and a
// function that gives all of them, and the name, another address until the test that calls it ends.
func Named(t testing.TB, n *wire.Network, name string) (addr string, dial Dialer, move func(testing.TB)) {
	t.Helper()
	const here, elsewhere = "127.0.0.1", "127.0.0.2"
	names, err := wire.NewDNS()
	Require(t, err)
	t.Cleanup(func() { names.Close() })
	names.Set(name, here)
	_, port, err := net.SplitHostPort(n.Addrs()[0])
	Require(t, err)
	return net.JoinHostPort(name, port), (&net.Dialer{Resolver: names.Resolver()}).DialContext, func(t testing.TB) {
		t.Helper()
		back, err := n.MoveTo(elsewhere)
		if err != nil {
			Require(t, fmt.Errorf("%w: this machine has no second loopback address: %w", errors.ErrUnsupported, err))
		}
		names.Set(name, elsewhere)
		t.Cleanup(func() {
			names.Set(name, here)
			if err := back(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Terminator ends TLS in front of the server at target until the test ends.
func Terminator(t testing.TB, target string, config *tls.Config) *wire.Server {
	t.Helper()
	s, err := wire.Listen(func(c net.Conn) {
		secure := tls.Server(c, config)
		if secure.Handshake() != nil {
			return
		}
		plain, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		var back sync.WaitGroup
		back.Go(func() { io.Copy(secure, plain); c.Close() }) // ends when plain is closed, below
		io.Copy(plain, secure)
		plain.Close()
		back.Wait()
	})
	Require(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}
