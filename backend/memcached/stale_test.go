package memcached_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// A history is the source of one key, and what is known of the writes at it.
type history struct {
	version atomic.Int64 // of the source
	floor   atomic.Int64 // no read that begins now may return anything older
	last    atomic.Value // what the last read came to, for people
}

func (h *history) write(ctx context.Context, s *backend.Store, key string) {
	v := h.version.Add(1)
	for ctx.Err() == nil {
		e := s.Write(ctx, driver.Op{Key: key, Step: record.Step{Verb: record.Delete}})[0]
		if e.Outcome == driver.Done {
			for old := h.floor.Load(); old < v && !h.floor.CompareAndSwap(old, v); old = h.floor.Load() {
			}
			return
		}
		pauseFor(ctx, time.Millisecond)
	}
}

// read reads the key, and fills it under a lease if nothing is there. It returns the version found, 0 for none.
func (h *history) read(ctx context.Context, s *backend.Store, key string, between func()) (int64, error) {
	floor := h.floor.Load()
	r := s.Get(ctx, key)[0]
	h.last.Store(fmt.Sprintf("get: %v", r.Err))
	if r.Err != nil {
		return 0, nil
	}
	if header, body, _ := record.Parse(r.Record); r.Record != nil && header.Kind == record.Value {
		found, err := strconv.ParseInt(string(body), 10, 64)
		if err == nil && found < floor {
			err = fmt.Errorf("%s: version %d was read, and all before %d were invalidated before that", key, found, floor)
		}
		return found, err
	}
	lease := record.New(record.Header{Kind: record.Lease, Token: record.NewToken(), Expiry: time.Now().Add(time.Second)}, nil)
	e := s.Write(ctx, driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: lease, TTL: time.Second}})[0]
	h.last.Store(fmt.Sprintf("lease: %v, %v", e.Outcome, e.Err))
	if e.Outcome != driver.Done {
		return 0, nil
	}
	loaded := h.version.Load()
	between()
	b, _ := value(strconv.FormatInt(loaded, 10), time.Hour)
	e = s.Write(ctx, driver.Op{Key: key, Step: record.Step{
		Verb: record.Swap, Expect: record.TokenOf(lease), Record: b, TTL: time.Hour,
	}})[0]
	h.last.Store(fmt.Sprintf("value: %v, %v", e.Outcome, e.Err))
	return 0, nil
}

// A faultyNode is a Store with a network of its own to each server, and to the register.
type faultyNode struct {
	*register
	store   *backend.Store
	proxies map[string]*wire.Proxy // by server
	alone   atomic.Bool            // it does not reach the register
}

var errAlone = errors.New("no way to the register")

func (n *faultyNode) Load(ctx context.Context) ([]byte, uint64, error) {
	if n.alone.Load() {
		return nil, 0, errAlone
	}
	return n.register.Load(ctx)
}

func (n *faultyNode) Swap(ctx context.Context, value []byte, epoch uint64) (uint64, bool, error) {
	if n.alone.Load() {
		return 0, false, errAlone
	}
	return n.register.Swap(ctx, value, epoch)
}

func newFaultyNode(t *testing.T, r *register, lease, timeout time.Duration, servers []*server.Server) *faultyNode {
	t.Helper()
	n := &faultyNode{register: r, proxies: make(map[string]*wire.Proxy)}
	for _, s := range servers {
		p, err := wire.New(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		n.proxies[s.Addr()] = p
	}
	n.store = openWith(t, poolURL("", servers[:3]...), &memcached.Options{
		Timeout: timeout, Lease: lease, Connections: 8, Membership: n,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, n.proxies[addr].Addr())
		},
	})
	return n
}

func TestNothingIsStaleWhateverHappensToThePool(t *testing.T) {
	t.Parallel()
	const (
		lease   = 400 * time.Millisecond
		timeout = 150 * time.Millisecond
	)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	servers := own(t, 3)
	servers = append(servers,
		servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true}), servertest.Memcached(t))
	r := newRegister()
	nodes := make([]*faultyNode, 3)
	for i := range nodes {
		nodes[i] = newFaultyNode(t, r, lease, timeout, servers)
	}
	all := keys(24)
	histories := make([]history, len(all))
	for i := range histories {
		histories[i].version.Store(1) // 0 is nothing
	}

	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	var hits atomic.Int64
	var workers sync.WaitGroup
	for i := range 12 {
		workers.Go(func() { // ends with ctx
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			for ctx.Err() == nil {
				pauseFor(ctx, time.Duration(rng.IntN(2000))*time.Microsecond)
				k := rng.IntN(len(all))
				s := nodes[rng.IntN(len(nodes))].store
				if rng.IntN(5) == 0 {
					histories[k].write(ctx, s, all[k])
					continue
				}
				found, err := histories[k].read(ctx, s, all[k], func() {
					pauseFor(ctx, time.Duration(rng.IntN(20))*time.Millisecond)
				})
				if err != nil {
					t.Error(err)
					stop()
				}
				if found > 0 {
					hits.Add(1)
				}
			}
		})
	}
	changes := disturb(ctx, t, rand.New(rand.NewPCG(seed, 1000)), nodes, servers)
	workers.Wait()
	t.Logf("%d hits, %d changes of the pool", hits.Load(), changes)
	if hits.Load() < 20 || changes < 1 {
		t.Error("too little happened")
	}

	// Everything works again when nothing is broken.
	for _, n := range nodes {
		n.heal(t)
	}
	eventually(t, "a change when all is well", func() error {
		return memcached.SetServers(t.Context(), nodes[0].store, addrs(servers)...)
	})
	for _, n := range nodes {
		for i, key := range all {
			eventually(t, "a read when all is well", func() error {
				found, err := histories[i].read(t.Context(), n.store, key, func() {})
				if err != nil {
					t.Fatal(err)
				}
				if found == 0 {
					return fmt.Errorf("not filled yet: %v", histories[i].last.Load())
				}
				return nil
			})
		}
	}
}

func TestANodeThatHearsNothingStopsBeforeAChangeIsDone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lease time.Duration
		cut   bool // the changer cannot reach the server that the other node uses
	}{
		"the server tells it":       {time.Minute, false},
		"the end of its lease does": {time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := own(t, 3)
			r := newRegister()
			changer := newFaultyNode(t, r, c.lease, 2*time.Second, servers)
			deaf := newFaultyNode(t, r, c.lease, 2*time.Second, servers)
			var key string
			for _, k := range keys(100) {
				add(t, deaf.store, k, "old", time.Hour)
				if ownerOf(t, deaf.store, k) == servers[0].Addr() {
					key = k
				}
			}
			deaf.alone.Store(true)
			if c.cut {
				p := changer.proxies[servers[0].Addr()]
				p.Refuse()
				p.Cut()
			}
			done := make(chan error, 1)
			go func() { done <- memcached.SetServers(t.Context(), changer.store, addrs(servers[1:])...) }() // awaited below
			reads := 0
			for ended := false; !ended; {
				select {
				case err := <-done:
					if err != nil {
						t.Fatal(err)
					}
					ended = true
				default:
					deaf.store.Get(t.Context(), key)
					reads++
				}
			}
			if r := deaf.store.Get(t.Context(), key)[0]; r.Record != nil || !errors.Is(r.Err, backend.ErrUnavailable) {
				t.Errorf("when the change is done the deaf node reads %d bytes, %v", len(r.Record), r.Err)
			}
			if e := deaf.store.Write(t.Context(), driver.Op{Key: key, Step: record.Step{Verb: record.Delete}})[0]; e.Outcome != driver.Unsent {
				t.Errorf("it deletes with outcome %v", e.Outcome)
			}
			deaf.alone.Store(false)
			eventually(t, "it hears again", func() error { return deaf.store.Get(t.Context(), key)[0].Err })
			if got := bodyAt(t, deaf.store, key); got != "" {
				t.Errorf("then it reads %q", got)
			}
		})
	}
}

// disturb changes the pool and breaks things until ctx ends, and returns how many changes were done.
func disturb(ctx context.Context, t *testing.T, rng *rand.Rand, nodes []*faultyNode, servers []*server.Server) (changes int) {
	for ctx.Err() == nil {
		n := nodes[rng.IntN(len(nodes))]
		srv := servers[rng.IntN(len(servers))]
		switch rng.IntN(8) {
		case 0:
			n.proxies[srv.Addr()].Set(wire.Fault{Blackhole: true})
		case 1:
			n.proxies[srv.Addr()].Set(wire.Fault{Hang: true}, wire.Direction(rng.IntN(2)))
		case 2:
			n.proxies[srv.Addr()].Refuse()
			n.proxies[srv.Addr()].Cut()
		case 3:
			n.alone.Store(true)
		case 4:
			if err := srv.Restart(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
		case 5:
			n.heal(t)
		default:
			list := make([]string, 0, len(servers))
			for _, i := range rng.Perm(len(servers))[:2+rng.IntN(len(servers)-1)] {
				list = append(list, servers[i].Addr())
			}
			limit, cancel := context.WithTimeout(ctx, 2*time.Second)
			if err := memcached.SetServers(limit, n.store, list...); err == nil {
				changes++
			} else {
				n.heal(t)
			}
			cancel()
		}
		pauseFor(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
	}
	return changes
}

func (n *faultyNode) heal(t *testing.T) {
	n.alone.Store(false)
	for _, p := range n.proxies {
		if err := p.Heal(); err != nil {
			t.Error(err)
		}
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
