package hazelcast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
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
	// A network that holds the write back, and delivers it later.
	p, err := wire.New(srv.Addr())
	must(t, err)
	defer p.Close()
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	through := openStore(t, strings.Replace(srv.URL(), srv.Addr(), p.Addr(), 1), nil)
	awaitUp(t, through)
	p.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
		return func(piece []byte) []byte {
			if bytes.Contains(piece, []byte("zombie body")) {
				<-held
			}
			return piece
		}
	}}, wire.ToServer)
	b, _ = value("zombie body", time.Hour)
	e := through.Write(t.Context(), addOp("held", b, time.Hour))[0]
	if e.Outcome != driver.Unknown || !errors.Is(e.Err, backend.ErrUnavailable) {
		t.Fatalf("a write without an answer: %v, %v", e.Outcome, e.Err)
	}
	if r := s.Get(t.Context(), "held")[0]; r.Err != nil || r.Record != nil {
		t.Fatalf("it was held back: %v, %v", r.Record, r.Err)
	}
	release()
	eventually(t, "the write lands", func() bool { return bytes.Equal(s.Get(t.Context(), "held")[0].Record, b) })
}

// A bulk read is as many requests as it has keys; no more than Concurrency of them are on the wire at once.
func TestABulkReadHasABoundedNumberOfRequestsUnderWay(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedHazelcast(t)
	p, err := wire.New(srv.Addr())
	must(t, err)
	defer p.Close()
	const concurrency = 5
	s := openStore(t, strings.Replace(onMap(t, srv.URL()), srv.Addr(), p.Addr(), 1), &hazelcast.Options{Timeout: patience, Concurrency: concurrency})
	awaitUp(t, s)
	var asked atomic.Int32
	p.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
		return func(piece []byte) []byte {
			asked.Add(int32(bytes.Count(piece, []byte("bulk-"))))
			return piece
		}
	}}, wire.ToServer)
	p.Set(wire.Fault{Hang: true}, wire.ToClient)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("bulk-", i)
	}
	var read sync.WaitGroup
	read.Go(func() { // ends when the network lets answers through, below
		for i, r := range s.Get(t.Context(), keys...) {
			if r.Err != nil || r.Record != nil {
				t.Errorf("key %d: %v, %v", i, r.Record, r.Err)
			}
		}
	})
	eventually(t, "requests are under way", func() bool { return asked.Load() == concurrency })
	var other sync.WaitGroup
	other.Go(func() { s.Get(t.Context(), "bulk-another") }) // ends as the read does
	eventually(t, "another call is sent, and nothing else", func() bool { return asked.Load() == concurrency+1 })
	p.Set(wire.Fault{}, wire.ToClient)
	read.Wait()
	other.Wait()
	if n := asked.Load(); n != int32(len(keys))+1 {
		t.Errorf("%d requests for %d keys", n, len(keys)+1)
	}
}
