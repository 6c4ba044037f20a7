package memcachedbus

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
)

// onPort is the URL of the server behind a proxy.
func onPort(addr string) string { return "memcached://" + addr }

// open is dial by a test that wants the transport closed with it.
func open(t *testing.T, url string, o Options) *transport {
	t.Helper()
	if o.Poll == 0 {
		o.Poll = 5 * time.Millisecond
	}
	tr := dial(t, url, o)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tr
}

// shared returns the URL of the server that all tests use which leave it alone, and a name for a bus there.
func shared(t *testing.T) (url string, o Options) {
	t.Helper()
	return servertest.SharedMemcached(t).URL(), Options{Name: servertest.Key(t)}
}

// stored returns what the server holds.
func stored(t *testing.T, tr *transport) found {
	t.Helper()
	var f found
	err := tr.owner.Read(t.Context(), func(s *memcachedconn.Session) (err error) {
		f, err = tr.read(s)
		return err
	})
	servertest.Require(t, err)
	return f
}

// onServer does something with the connection of a transport, by the name of a key.
func onServer(t *testing.T, tr *transport, key string, do func(s *memcachedconn.Session, key string) error) {
	t.Helper()
	servertest.Require(t, tr.owner.Read(t.Context(), func(s *memcachedconn.Session) error {
		if _, err := s.Get(); err != nil { // a pooled connection may have died
			return err
		}
		return do(s, s.Key(key))
	}))
}

// A gate is a proxy that can hold the compare-and-swaps back which come through it.
type gate struct {
	*wire.Proxy
	held chan struct{} // one for each that is held back

	mu   sync.Mutex
	open chan struct{} // closed: nothing is held back
}

func newGate(t *testing.T, s *server.Server) *gate {
	t.Helper()
	p, err := wire.New(s.Addr())
	servertest.Require(t, err)
	g := &gate{Proxy: p, held: make(chan struct{}, 100), open: make(chan struct{})}
	close(g.open)
	t.Cleanup(func() { g.release(); p.Close() })
	p.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte { return g.pass }}, wire.ToServer)
	return g
}

func (g *gate) pass(piece []byte) []byte {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if bytes.HasPrefix(piece, []byte("cas ")) {
		select {
		case <-open:
		default:
			g.held <- struct{}{}
			<-open
		}
	}
	return piece
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// published is the outcome of a Publish.
type published struct {
	at  invalidation.Position
	err error
}

// publishing publishes a frame while the test goes on.
func publishing(tr *transport, frames ...string) <-chan published {
	result := make(chan published, 1)
	bytes := make([][]byte, len(frames))
	for i, frame := range frames {
		bytes[i] = []byte(frame)
	}
	go func() { // ends with Publish, which is bounded
		p, err := tr.Publish(context.Background(), bytes)
		result <- published{p, err}
	}()
	return result
}

// large is a frame that the log's item has no room for.
func large(c string) string { return strings.Repeat(c, recentBytes+1) }
