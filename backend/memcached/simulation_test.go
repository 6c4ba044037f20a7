package memcached_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memcached"
)

// A simulated server is memcached's text protocol as far as it is used, in a bubble of simulated time. Commands and
// replies take a while, and a restart makes its CAS ids repeat.
type simulated struct {
	delay func() time.Duration

	mu    sync.Mutex
	items map[string]simulatedItem // guarded by mu
	ids   uint64                   // guarded by mu
	pid   int                      // guarded by mu
	conns map[net.Conn]bool        // guarded by mu
}

type simulatedItem struct {
	value  string
	id     uint64
	expiry time.Time // zero: none
}

func newSimulated(delay func() time.Duration) *simulated {
	return &simulated{delay: delay, items: make(map[string]simulatedItem), pid: 1, conns: make(map[net.Conn]bool)}
}

// restart loses all connections, and unless it is warm all items.
func (s *simulated) restart(warm bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid++
	if !warm {
		s.ids = 0
		clear(s.items)
	}
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
}

func (s *simulated) serve(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		var data string
		if len(words) >= 5 { // a command to store
			n, err := strconv.Atoi(words[4])
			if err != nil {
				return
			}
			b := make([]byte, n+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			data = string(b[:n])
		}
		time.Sleep(s.delay())
		s.mu.Lock()
		alive := s.conns[c]
		reply := ""
		if alive {
			reply = s.obeyLocked(words, data)
		}
		s.mu.Unlock()
		time.Sleep(s.delay())
		if _, err := io.WriteString(c, reply); err != nil || !alive {
			return
		}
	}
}

func (s *simulated) obeyLocked(words []string, data string) string {
	item := func(key string) (simulatedItem, bool) {
		it, ok := s.items[key]
		return it, ok && (it.expiry.IsZero() || time.Now().Before(it.expiry))
	}
	store := func() string {
		s.ids++
		it := simulatedItem{value: data, id: s.ids}
		switch seconds, _ := strconv.Atoi(words[3]); {
		case seconds < 0:
			it.expiry = time.Now()
		case seconds > 0:
			it.expiry = time.Now().Add(time.Duration(seconds) * time.Second)
		}
		s.items[words[1]] = it
		return "STORED\r\n"
	}
	switch words[0] {
	case "add":
		if _, there := item(words[1]); there {
			return "NOT_STORED\r\n"
		}
		return store()
	case "cas":
		it, there := item(words[1])
		if !there {
			return "NOT_FOUND\r\n"
		}
		if strconv.FormatUint(it.id, 10) != words[5] {
			return "EXISTS\r\n"
		}
		return store()
	case "gets":
		var b strings.Builder
		for _, key := range words[1:] {
			if it, there := item(key); there {
				fmt.Fprintf(&b, "VALUE %s 0 %d %d\r\n%s\r\n", key, len(it.value), it.id, it.value)
			}
		}
		return b.String() + "END\r\n"
	case "stats":
		return fmt.Sprintf("STAT pid %d\r\nEND\r\n", s.pid)
	}
	return "ERROR\r\n"
}

// A simulation is a pool of simulated servers, and nodes whose ways to servers and register come and go.
type simulation struct {
	servers  map[string]*simulated
	names    []string
	register *register
	nodes    []*simulatedNode
	serving  sync.WaitGroup
}

type simulatedNode struct {
	*register
	store *backend.Store
	delay func() time.Duration
	alone atomic.Bool
	cut   sync.Map // names of servers
}

func (n *simulatedNode) Load(ctx context.Context) ([]byte, uint64, error) {
	pauseFor(ctx, n.delay())
	value, epoch, err := n.register.Load(ctx)
	pauseFor(ctx, n.delay())
	if n.alone.Load() {
		return nil, 0, errAlone
	}
	return value, epoch, errors.Join(err, ctx.Err())
}

func (n *simulatedNode) Swap(ctx context.Context, value []byte, epoch uint64) (uint64, bool, error) {
	pauseFor(ctx, n.delay())
	if n.alone.Load() {
		return 0, false, errAlone
	}
	next, swapped, err := n.register.Swap(ctx, value, epoch)
	pauseFor(ctx, n.delay())
	if n.alone.Load() {
		return 0, false, errAlone // it was done, and the answer is lost
	}
	return next, swapped, err
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	sim := &simulation{servers: make(map[string]*simulated), register: newRegister()}
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1)) // guarded by mu
	delay := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(50) == 0 {
			return time.Duration(rng.IntN(300)) * time.Millisecond // some take very long
		}
		return time.Duration(rng.IntN(3000)) * time.Microsecond
	}
	for i := range 5 {
		name := fmt.Sprintf("s%d:11211", i)
		sim.names = append(sim.names, name)
		sim.servers[name] = newSimulated(delay)
	}
	for range 3 {
		n := &simulatedNode{register: sim.register, delay: delay}
		store, err := memcached.Open(t.Context(), "memcached://s0,s1,s2", &memcached.Options{
			Timeout: 200 * time.Millisecond, Lease: time.Second, Connections: 8, Membership: n,
			Dialer: func(_ context.Context, _, addr string) (net.Conn, error) {
				if _, cut := n.cut.Load(addr); cut {
					return nil, errAlone
				}
				ours, theirs := net.Pipe()
				sim.serving.Go(func() { sim.servers[addr].serve(theirs) }) // ends with the connection
				return &cutConn{Conn: ours, node: n, addr: addr}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		n.store = store
		sim.nodes = append(sim.nodes, n)
	}
	return sim
}

// A cutConn loses what is sent while its node is cut off the server.
type cutConn struct {
	net.Conn
	node *simulatedNode
	addr string
}

func (c *cutConn) Write(b []byte) (int, error) {
	if _, cut := c.node.cut.Load(c.addr); cut {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (sim *simulation) close(t *testing.T) {
	for _, n := range sim.nodes {
		if err := n.store.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, s := range sim.servers {
		s.restart(true)
	}
	sim.serving.Wait()
}

// disturb does one thing to the pool.
func (sim *simulation) disturb(ctx context.Context, rng *rand.Rand) {
	n := sim.nodes[rng.IntN(len(sim.nodes))]
	name := sim.names[rng.IntN(len(sim.names))]
	switch rng.IntN(8) {
	case 0, 1:
		n.cut.Store(name, true)
	case 2:
		n.alone.Store(true)
	case 3:
		sim.servers[name].restart(rng.IntN(2) == 0)
	case 4:
		n.alone.Store(false)
		n.cut.Clear()
	default:
		var list []string
		for _, i := range rng.Perm(len(sim.names))[:1+rng.IntN(len(sim.names))] {
			list = append(list, sim.names[i])
		}
		limit, cancel := context.WithTimeout(ctx, time.Duration(rng.IntN(3000))*time.Millisecond)
		defer cancel()
		_ = memcached.SetServers(limit, n.store, list...) // it may fail: that is half of the point
	}
}

func TestNothingIsStaleInSimulatedPools(t *testing.T) {
	const simulations = 4
	first := uint64(time.Now().UnixNano())
	var hits, epochs int64
	for seed := first; seed < first+simulations; seed++ {
		synctest.Test(t, func(t *testing.T) {
			sim := newSimulation(t, seed)
			defer sim.close(t)
			ctx, stop := context.WithTimeout(t.Context(), 12*time.Second) // simulated
			defer stop()
			all := keys(6)
			histories := make([]history, len(all))
			var workers sync.WaitGroup
			var read atomic.Int64
			for i := range 6 {
				workers.Go(func() { // ends with ctx
					rng := rand.New(rand.NewPCG(seed, 100+uint64(i)))
					for ctx.Err() == nil {
						k := rng.IntN(len(all))
						s := sim.nodes[rng.IntN(len(sim.nodes))].store
						pauseFor(ctx, time.Duration(rng.IntN(20))*time.Millisecond)
						if rng.IntN(6) == 0 {
							histories[k].write(ctx, s, all[k])
							continue
						}
						found, err := histories[k].read(ctx, s, all[k], func() {
							pauseFor(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
						})
						if err != nil {
							t.Errorf("seed %d: %v", seed, err)
							stop()
						}
						if found > 0 {
							read.Add(1)
						}
					}
				})
			}
			rng := rand.New(rand.NewPCG(seed, 2))
			for ctx.Err() == nil {
				sim.disturb(ctx, rng)
				pauseFor(ctx, time.Duration(rng.IntN(400))*time.Millisecond)
			}
			workers.Wait()
			hits += read.Load()
			_, epoch := sim.register.holds()
			epochs += int64(epoch)
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d hits, %d swaps of the register, first seed %d", hits, epochs, first)
	if hits < 50 || epochs < 10 {
		t.Error("too little happened")
	}
}
