package hazelcast_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/server"
)

func value(body string, ttl time.Duration) ([]byte, record.Token) {
	h := record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(ttl)}
	return record.New(h, []byte(body)), h.Token
}

func addOp(key string, b []byte, ttl time.Duration) driver.Op {
	return driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: b, TTL: ttl}}
}

func awaitUp(t *testing.T, s *backend.Store) {
	t.Helper()
	eventually(t, "the cluster answers", func() bool { return s.Ping(t.Context()) == nil })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func restartUnderLoad(t *testing.T, srv *server.Server) {
	s := openStore(t, srv.URL(), nil)
	awaitUp(t, s)
	b, token := value("before", time.Hour)
	if e := s.Write(t.Context(), addOp("restart", b, time.Hour))[0]; e.Outcome != driver.Done {
		t.Fatalf("%v, %v", e.Outcome, e.Err)
	}
	var restarted, emptied atomic.Bool
	var slowest atomic.Int64
	var load sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		load.Go(func() { // ends with stop
			for {
				select {
				case <-stop:
					return
				default:
				}
				killed := restarted.Load()
				start := time.Now()
				r := s.Get(t.Context(), "restart")[0]
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
				switch {
				case r.Err != nil:
					if !errors.Is(r.Err, backend.ErrUnavailable) {
						t.Errorf("Get: %v", r.Err)
						return
					}
				case r.Record == nil:
					if !restarted.Load() {
						t.Error("a miss before the member lost its data")
						return
					}
					emptied.Store(true)
				case killed && emptied.Load() || record.TokenOf(r.Record) != token:
					t.Error("a record that cannot be there")
					return
				}
			}
		})
	}
	restarted.Store(true)
	must(t, srv.Kill())
	down := time.Now()
	must(t, srv.Restart(t.Context()))
	up := time.Now()
	eventually(t, "the load sees the empty map", emptied.Load)
	t.Logf("the member was away for %v; calls worked again after %v; the slowest took %v",
		up.Sub(down).Round(time.Millisecond), time.Since(up).Round(time.Millisecond), time.Duration(slowest.Load()).Round(time.Millisecond))
	close(stop)
	load.Wait()
}

func zombie(t *testing.T, srv *server.Server) {
	s := openStore(t, srv.URL(), nil)
	awaitUp(t, s)
	must(t, srv.Pause())
	resume := sync.OnceFunc(func() { must(t, srv.Resume()) })
	defer resume()

	b, _ := value("zombie", time.Hour)
	fence := record.NewToken()
	// The fence's read is answered only later, so that nothing was sent for it; an Add's is too. Both must be told apart
	// from a write that is on its way, which needs a swap whose read was answered before the pause: none is possible
	// here, so the write is made by the client itself.
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(50*time.Millisecond, cancel)
	defer timer.Stop()
	start := time.Now()
	effects := s.Write(ctx, addOp("zombie", b, time.Hour), driver.Op{
		Key: "other", Step: record.Step{Verb: record.Place, Expect: fence, TTL: time.Second},
	})
	if took := time.Since(start); took > 300*time.Millisecond {
		t.Errorf("the cancellation took %v", took)
	}
	for _, e := range effects {
		if e.Outcome != driver.Unsent || !errors.Is(e.Err, context.Canceled) {
			t.Errorf("a step whose read was not answered: %v, %v", e.Outcome, e.Err)
		}
	}
	resume()
	awaitUp(t, s)
	for _, key := range []string{"zombie", "other"} {
		if r := s.Get(t.Context(), key)[0]; r.Err != nil || r.Record != nil {
			t.Errorf("%s: %v, %v; it was unsent", key, r.Record, r.Err)
		}
	}
	// A proxy that swallows the write, and delivers it later.
	p := newProxy(t, srv.Addr())
	through := openStore(t, strings.Replace(srv.URL(), srv.Addr(), p.addr(), 1), nil)
	awaitUp(t, through)
	p.holdAfter([]byte("zombie body"))
	b, _ = value("zombie body", time.Hour)
	e := through.Write(t.Context(), addOp("held", b, time.Hour))[0]
	if e.Outcome != driver.Unknown || !errors.Is(e.Err, backend.ErrUnavailable) {
		t.Fatalf("a write without an answer: %v, %v", e.Outcome, e.Err)
	}
	if r := s.Get(t.Context(), "held")[0]; r.Err != nil || r.Record != nil {
		t.Fatalf("it was held back: %v, %v", r.Record, r.Err)
	}
	p.release()
	eventually(t, "the write lands", func() bool { return bytes.Equal(s.Get(t.Context(), "held")[0].Record, b) })
}

func sentOnce(t *testing.T, srv *server.Server) {
	p := newProxy(t, srv.Addr())
	s := openStore(t, strings.Replace(srv.URL(), srv.Addr(), p.addr(), 1), nil)
	awaitUp(t, s)
	for range 5 {
		b, _ := value("counted "+record.NewToken().String(), time.Hour)
		p.cutAfter(b[record.HeaderLen:])
		e := s.Write(t.Context(), addOp(record.NewToken().String(), b, time.Hour))[0]
		if e.Outcome != driver.Unknown || !errors.Is(e.Err, backend.ErrUnavailable) {
			t.Errorf("a connection that broke after the request: %v, %v", e.Outcome, e.Err)
		}
		awaitUp(t, s)
		if n := p.seen(b[record.HeaderLen:]); n != 1 {
			t.Errorf("the record was sent %d times", n)
		}
	}
}

// A proxy passes bytes to a member and can break in when the client sends given bytes.
type proxy struct {
	listener net.Listener
	to       string
	workers  sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	hold    []byte        // hold back the chunk that has these bytes
	cut     []byte        // cut all connections after the chunk that has these bytes
	held    chan struct{} // closed to let it go
	history bytes.Buffer  // what clients sent
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, conns: map[net.Conn]bool{}, held: make(chan struct{})}
	p.workers.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.release()
		p.closeAll()
		p.workers.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		member, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[member] = true, true
		p.mu.Unlock()
		p.workers.Go(func() { io.Copy(client, member); client.Close() })
		p.workers.Go(func() { p.forward(member, client) })
	}
}

func (p *proxy) forward(member, client net.Conn) {
	defer member.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.history.Write(buf[:n])
		hold := p.hold != nil && bytes.Contains(buf[:n], p.hold)
		cut := p.cut != nil && bytes.Contains(buf[:n], p.cut)
		held := p.held
		p.mu.Unlock()
		if hold {
			<-held
		}
		if _, err := member.Write(buf[:n]); err != nil {
			return
		}
		if cut {
			p.closeAll()
			return
		}
	}
}

func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = nil
	for c := range p.conns {
		c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) holdAfter(b []byte) { p.mu.Lock(); p.hold = b; p.mu.Unlock() }
func (p *proxy) cutAfter(b []byte)  { p.mu.Lock(); p.cut = b; p.mu.Unlock() }

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold = nil; p.held != nil {
		close(p.held)
		p.held = nil
	}
}

func (p *proxy) seen(b []byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Count(p.history.Bytes(), b)
}
