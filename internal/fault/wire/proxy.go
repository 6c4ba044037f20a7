package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Proxy passes TCP connections on to a server, and plays faults. Its methods may be called concurrently. Close it.
type Proxy struct {
	addr string
	ctx  context.Context // of dialling; ends at Close
	end  context.CancelFunc
	wg   sync.WaitGroup // the accepting goroutine and all links

	accepted atomic.Int64
	bytes    [2]atomic.Int64

	accepting sync.Mutex // held by Refuse, Accept and Close for their whole length

	// mu guards what follows. Nothing blocks under it.
	mu       sync.Mutex
	target   string
	faults   [2]Fault
	version  [2]int        // of each fault
	changed  chan struct{} // closed and replaced when a fault is set
	listener net.Listener  // nil while it refuses
	links    map[*link]struct{}
	closed   bool
}

// New starts a proxy in front of the server at target, on a free loopback port.
func New(target string) (p *Proxy, err error) {
	err = onFreePort(func(addr string) error {
		p, err = NewAt(addr, target)
		return err
	})
	return p, err
}

// NewAt starts a proxy that listens at addr, so that it can take the place of a server that moved.
func NewAt(addr, target string) (*Proxy, error) {
	p := &Proxy{addr: addr, target: target, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.ctx, p.end = context.WithCancel(context.Background())
	if err := p.Accept(); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// Addr returns the host and port at which p listens.
func (p *Proxy) Addr() string { return p.addr }

// SetTarget makes new connections go to the server at addr.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// server returns the server to which new connections go.
func (p *Proxy) server() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// Set replaces the fault of the directions, both if none is given.
func (p *Proxy) Set(f Fault, directions ...Direction) {
	if len(directions) == 0 {
		directions = []Direction{ToServer, ToClient}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range directions {
		p.faults[d] = f
		p.version[d]++
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Heal ends all faults and accepts connections again. Connections that were cut or closed stay so.
func (p *Proxy) Heal() error {
	p.Set(Fault{})
	return p.Accept()
}

// Refuse makes the system refuse new connections. Those that exist go on.
func (p *Proxy) Refuse() {
	p.accepting.Lock()
	defer p.accepting.Unlock()
	p.stopListening()
}

func (p *Proxy) stopListening() {
	p.mu.Lock()
	l := p.listener
	p.listener = nil
	p.mu.Unlock()
	if l != nil {
		l.Close()
	}
}

// Accept accepts connections again, at the same address.
func (p *Proxy) Accept() error {
	p.accepting.Lock()
	defer p.accepting.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("wire: the proxy is closed")
	}
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp4", p.addr)
	if err != nil {
		return fmt.Errorf("wire: %w", err)
	}
	p.listener = l
	p.wg.Go(func() { p.serve(l) }) // ends when l is closed; joined by Close
	return nil
}

func (p *Proxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // of a connection that ended at once, or for want of file descriptors
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(time.Millisecond):
				continue
			}
		}
		k := &link{proxy: p, number: int(p.accepted.Add(1)) - 1, client: client, done: make(chan struct{})}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			client.Close()
			return
		}
		p.links[k] = struct{}{}
		target := p.target
		p.wg.Go(func() { k.run(target) }) // ends with its connections; joined by Close
		p.mu.Unlock()
	}
}

// fault returns what concerns a connection now, its version, and a channel that is closed when that changes.
func (p *Proxy) fault(d Direction, conn int) (Fault, int, <-chan struct{}) {
	p.mu.Lock()
	f, version, changed := p.faults[d], p.version[d], p.changed
	p.mu.Unlock()
	if !f.concerns(conn) {
		f = Fault{}
	}
	return f, version, changed
}

// Cut resets all connections, on both sides (RST).
func (p *Proxy) Cut() { p.each((*link).reset) }

// CloseServers makes all connections half-open: the server's side is closed, and the client is not told. What the client
// sends on them is lost.
func (p *Proxy) CloseServers() { p.each(func(k *link) { k.detach(ToServer) }) }

// CloseClients makes all connections half-open the other way: the client's side is closed, and the server is not told.
func (p *Proxy) CloseClients() { p.each(func(k *link) { k.detach(ToClient) }) }

func (p *Proxy) each(f func(*link)) {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for k := range p.links {
		links = append(links, k)
	}
	p.mu.Unlock()
	for _, k := range links {
		f(k)
	}
}

// Open returns how many connections clients have open, as far as the proxy knows: what hangs is not read, and so its end
// is not seen.
func (p *Proxy) Open() int {
	n := 0
	p.each(func(k *link) {
		if !k.clientGone.Load() {
			n++
		}
	})
	return n
}

// Accepted returns how many connections there have been.
func (p *Proxy) Accepted() int { return int(p.accepted.Load()) }

// Bytes returns how many bytes came in that direction. Those of a black hole count; those that hang do not yet.
func (p *Proxy) Bytes(d Direction) int64 { return p.bytes[d].Load() }

// Close refuses new connections, resets those that exist, and waits until all is over. It may be called twice.
func (p *Proxy) Close() error {
	p.accepting.Lock()
	defer p.accepting.Unlock()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stopListening()
	p.end()
	p.Cut()
	p.wg.Wait()
	return nil
}
