package hazelcastbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
)

const patience = 60 * time.Second

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

// receive returns the next delivery that is no error; the cluster may be away for a while.
func receive(t *testing.T, tr *transport) invalidation.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		d, err := tr.Receive(ctx)
		if err == nil {
			return d
		}
		if !errors.Is(err, invalidation.ErrUnavailable) {
			t.Fatalf("Receive: %v", err)
		}
	}
}

func subscribed(t *testing.T, tr *transport) invalidation.Position {
	t.Helper()
	d := receive(t, tr)
	if d.Kind != invalidation.Subscribed {
		t.Fatalf("got %+v, want Subscribed", d)
	}
	return d.Position
}

// wantFrames receives frames that follow each other, after a position.
func wantFrames(t *testing.T, tr *transport, after invalidation.Position, frames ...string) invalidation.Position {
	t.Helper()
	for _, want := range frames {
		after.N++
		if d := receive(t, tr); d.Kind != invalidation.Frame || d.Position != after || string(d.Frame) != want {
			t.Fatalf("got kind %d %q at %v, want frame %q at %v", d.Kind, d.Frame, d.Position, want, after)
		}
	}
	return after
}

// anew receives until there is a new subscription, and returns its head.
func anew(t *testing.T, tr *transport) invalidation.Position {
	t.Helper()
	for {
		if d := receive(t, tr); d.Kind == invalidation.Subscribed {
			return d.Position
		}
	}
}

// publish appends a frame, again until somebody says that it is there.
func publish(t *testing.T, tr *transport, frame string) invalidation.Position {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		p, err := tr.Publish(t.Context(), [][]byte{[]byte(frame)})
		if err == nil {
			return p
		}
		if !errors.Is(err, invalidation.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("Publish: %v", err)
		}
	}
}

// onLog does something to the log's ring buffer behind everybody's back.
func onLog(t testing.TB, tr *transport, do func(ctx context.Context, ring *hz.Ringbuffer) error) {
	t.Helper()
	_, err := onRing(t.Context(), tr, patience, hazelcastconn.Once, tr.names.log, func(ctx context.Context, ring *hz.Ringbuffer) (int, error) {
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
