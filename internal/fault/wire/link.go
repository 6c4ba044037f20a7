package wire

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout is how long the server may take to accept. It is on this machine.
const dialTimeout = 10 * time.Second

// A link is one connection of a client with the one to the server that belongs to it.
type link struct {
	proxy  *Proxy
	number int
	client net.Conn

	clientGone atomic.Bool // the client has closed, or its side was closed
	done       chan struct{}
	over       sync.Once // closes done

	mu       sync.Mutex
	server   net.Conn // guarded by mu, as detached; nil until it is dialled
	detached [2]bool  // by the Direction in which bytes went to the side that was closed
}

// run dials the server and passes bytes on, until both sides have ended.
func (k *link) run(target string) {
	defer k.forget()
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(k.proxy.ctx, "tcp", target)
	if err != nil {
		k.reset()
		return
	}
	k.mu.Lock()
	k.server = server
	detached := k.detached[ToServer]
	k.mu.Unlock()
	if detached {
		server.Close()
	}
	select {
	case <-k.done: // reset while it dialled
		abort(server)
		return
	default:
	}
	var wg sync.WaitGroup
	wg.Go(func() { (&pump{link: k, to: ToClient, from: server, into: k.client}).run() }) // ends with the connections; waited for below
	(&pump{link: k, to: ToServer, from: k.client, into: server}).run()
	wg.Wait()
	k.client.Close()
	server.Close()
}

func (k *link) forget() {
	k.clientGone.Store(true)
	p := k.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, k)
}

// reset ends both sides by RST.
func (k *link) reset() {
	k.over.Do(func() { close(k.done) })
	k.clientGone.Store(true)
	k.mu.Lock()
	server := k.server
	k.mu.Unlock()
	abort(k.client)
	if server != nil {
		abort(server)
	}
}

// abort closes c by RST.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// detach closes the side to which bytes of direction d go, and hides that from the other.
func (k *link) detach(d Direction) {
	k.mu.Lock()
	k.detached[d] = true
	server := k.server
	k.mu.Unlock()
	switch {
	case d == ToClient:
		k.clientGone.Store(true)
		k.client.Close()
	case server != nil:
		server.Close()
	}
}

// gone reports whether the side to which bytes of direction d go was detached.
func (k *link) gone(d Direction) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.detached[d]
}

// A pump passes the bytes of one direction of a link on.
type pump struct {
	link *link
	to   Direction
	from net.Conn
	into net.Conn

	version int // of the fault to which the state that follows belongs
	rewrite func([]byte) []byte
	passed  int
}

func (p *pump) run() {
	buf := make([]byte, 32<<10)
	for {
		f, changed := p.fault()
		if f.Hang {
			if !p.wait(changed, nil) {
				return
			}
			continue
		}
		n, err := p.from.Read(buf)
		p.link.proxy.bytes[p.to].Add(int64(n))
		if err != nil && p.to == ToServer {
			p.link.clientGone.Store(true)
		}
		if n > 0 && !p.pass(buf[:n]) {
			return
		}
		if err != nil {
			p.finish(err)
			return
		}
	}
}

// fault returns what concerns the pump now, and forgets what belonged to another fault.
func (p *pump) fault() (Fault, <-chan struct{}) {
	f, version, changed := p.link.proxy.fault(p.to, p.link.number)
	if version != p.version {
		p.version, p.passed, p.rewrite = version, 0, nil
	}
	if f.Rewrite != nil && p.rewrite == nil {
		p.rewrite = f.Rewrite(p.link.number)
	}
	return f, changed
}

// wait returns when the fault changed or after the timer, and reports false if the link was reset.
func (p *pump) wait(changed <-chan struct{}, timer <-chan time.Time) bool {
	select {
	case <-p.link.done:
		return false
	case <-changed:
	case <-timer:
	}
	return true
}

// pass passes a piece on, and reports false if the link was reset.
func (p *pump) pass(piece []byte) bool {
	var waited, rewritten bool
	for len(piece) > 0 {
		f, changed := p.fault()
		switch {
		case f.Hang:
			if !p.wait(changed, nil) {
				return false
			}
			continue
		case f.Blackhole:
			return true
		case f.Delay > 0 && !waited:
			waited = true
			if !p.wait(changed, time.After(f.Delay)) {
				return false
			}
			continue
		case p.rewrite != nil && !rewritten:
			rewritten = true
			piece = p.rewrite(piece)
			continue
		}
		n := len(piece)
		if f.Drip > 0 {
			n = min(n, f.Drip)
		}
		if f.ResetAfter > 0 {
			n = min(n, f.ResetAfter-p.passed)
		}
		p.passed += n
		if _, err := p.into.Write(piece[:n]); err != nil && !p.link.gone(p.to) {
			p.link.reset()
			return false
		}
		piece = piece[n:]
		if f.ResetAfter > 0 && p.passed >= f.ResetAfter {
			p.link.reset()
			return false
		}
		if f.Drip > 0 {
			every := f.Every
			if every <= 0 {
				every = defaultEvery
			}
			if !p.wait(changed, time.After(every)) {
				return false
			}
		}
	}
	return true
}

// finish passes the end of a stream on.
func (p *pump) finish(err error) {
	if p.link.gone(1 - p.to) { // the side that was read from was closed, and the other is not to know
		return
	}
	for {
		f, changed := p.fault()
		if !f.Hang && !f.Blackhole {
			break
		}
		if !p.wait(changed, nil) {
			return
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.link.reset()
		return
	}
	if t, ok := p.into.(*net.TCPConn); ok {
		t.CloseWrite()
	}
}
