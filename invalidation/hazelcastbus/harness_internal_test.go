package hazelcastbus

import (
	"context"
	"fmt"
	"strings"
	"testing"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

// open is dial by a test that wants the transport closed with it.
func open(t *testing.T, url, name string) *transport {
	t.Helper()
	tr := dial(t, url, name)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tr
}

// onLog does something to the log's ring buffer behind everybody's back.
func onLog(t testing.TB, tr *transport, do func(ctx context.Context, ring *hz.Ringbuffer) error) {
	t.Helper()
	_, err := onRing(t.Context(), tr, transporttest.Patience, hazelcastconn.Once, tr.names.log, func(ctx context.Context, ring *hz.Ringbuffer) (int, error) {
		return 0, do(ctx, ring)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func destroy(ctx context.Context, ring *hz.Ringbuffer) error { return ring.Destroy(ctx) }

// shadow is a member that clients reach through a proxy alone.
type shadow struct {
	proxy *wire.Proxy
	url   string
}

func newShadow(t *testing.T) shadow {
	t.Helper()
	port, err := server.FreePort()
	servertest.Require(t, err)
	clients, err := server.FreePort()
	servertest.Require(t, err)
	p, err := wire.New(fmt.Sprintf("127.0.0.1:%d", clients))
	servertest.Require(t, err)
	t.Cleanup(func() { p.Close() })
	srv := servertest.Hazelcast(t, &server.HazelcastOptions{Port: port, ClientPort: clients, PublicAddress: p.Addr()})
	_, parameters, _ := strings.Cut(srv.URL(), "?")
	return shadow{p, "hazelcast://" + p.Addr() + "?" + parameters}
}

// cutOff makes every connection so far one through which nothing comes, until its client gives it up and makes another.
func (s shadow) cutOff() {
	known := s.proxy.Accepted()
	s.proxy.Set(wire.Fault{Blackhole: true, Only: func(conn int) bool { return conn < known }})
}
