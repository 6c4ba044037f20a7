package wire

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// A Network is the proxies in front of all servers of a topology, one each, under the names that the suite in package
// backendtest has for faults. Its methods may be called concurrently.
type Network struct {
	proxies []*Proxy
	timeout time.Duration
}

// Front starts a proxy in front of each of the servers, on free loopback ports. Timeout is how long the clients wait for an
// answer.
func Front(timeout time.Duration, servers ...string) (*Network, error) {
	n := &Network{timeout: timeout}
	for _, s := range servers {
		p, err := New(s)
		if err != nil {
			n.Close()
			return nil, err
		}
		n.proxies = append(n.proxies, p)
	}
	return n, nil
}

// Servers returns how many servers there are.
func (n *Network) Servers() int { return len(n.proxies) }

// Proxies returns the proxies, in the order of the servers.
func (n *Network) Proxies() []*Proxy { return n.proxies }

// Addrs returns where the proxies listen, in the order of the servers.
func (n *Network) Addrs() []string {
	addrs := make([]string, len(n.proxies))
	for i, p := range n.proxies {
		addrs[i] = p.Addr()
	}
	return addrs
}

// Play makes the fault of that name happen, in front of the servers of these numbers, of all if none is given. What lasts,
// lasts until Heal. An unknown name is errors.ErrUnsupported.
func (n *Network) Play(fault string, servers ...int) error {
	play, ok := faults[fault]
	if !ok {
		return fmt.Errorf("wire: no fault is called %q: %w", fault, errors.ErrUnsupported)
	}
	chosen := n.proxies
	if len(servers) > 0 {
		chosen = nil
		for _, i := range servers {
			chosen = append(chosen, n.proxies[i])
		}
	}
	for _, p := range chosen {
		play(p, n.timeout)
	}
	return nil
}

var faults = map[string]func(p *Proxy, timeout time.Duration){
	"hang":               func(p *Proxy, _ time.Duration) { p.Set(Fault{Hang: true}) },
	"black-hole-to":      func(p *Proxy, _ time.Duration) { p.Set(Fault{Blackhole: true}, ToServer) },
	"black-hole-from":    func(p *Proxy, _ time.Duration) { p.Set(Fault{Blackhole: true}, ToClient) },
	"slow-drip":          func(p *Proxy, timeout time.Duration) { p.Set(Fault{Drip: 1, Every: timeout * 3 / 5}, ToClient) },
	"refused":            func(p *Proxy, _ time.Duration) { p.Refuse(); p.Cut() },
	"reset-in-reply":     func(p *Proxy, _ time.Duration) { p.Set(Fault{ResetAfter: 1}, ToClient) },
	"reset-after-some":   func(p *Proxy, _ time.Duration) { p.Set(Fault{ResetAfter: 300}, ToClient) },
	"garbage":            func(p *Proxy, _ time.Duration) { p.Set(Fault{Rewrite: Garbage}, ToClient) },
	"byte-flips":         func(p *Proxy, _ time.Duration) { p.Set(Fault{Rewrite: Flip(200)}, ToClient) },
	"cut":                func(p *Proxy, _ time.Duration) { p.Cut() },
	"half-open-server":   func(p *Proxy, _ time.Duration) { p.CloseServers() },
	"half-open-client":   func(p *Proxy, _ time.Duration) { p.CloseClients() },
	"few-ms-each-packet": func(p *Proxy, _ time.Duration) { p.Set(Fault{Delay: 2 * time.Millisecond}, ToClient) },
}

// Rewrite makes what servers send go through a function for each connection, until Heal.
func (n *Network) Rewrite(f func(conn int) func(reply []byte) []byte) {
	for _, p := range n.proxies {
		p.Set(Fault{Rewrite: f}, ToClient)
	}
}

// Heal ends all faults.
func (n *Network) Heal() error {
	errs := make([]error, len(n.proxies))
	for i, p := range n.proxies {
		errs[i] = p.Heal()
	}
	return errors.Join(errs...)
}

// MoveTo makes the servers be found at the same ports of another IP address of this machine, and at the old ones no more, until
// back is called.
func (n *Network) MoveTo(ip string) (back func() error, err error) {
	var moved []*Proxy
	back = func() error {
		for _, p := range moved {
			p.Close()
		}
		return n.Heal()
	}
	for _, old := range n.proxies {
		_, port, err := net.SplitHostPort(old.Addr())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("wire: %w", err), back())
		}
		p, err := NewAt(net.JoinHostPort(ip, port), old.server())
		if err != nil {
			return nil, errors.Join(err, back())
		}
		moved = append(moved, p)
	}
	return back, n.Play("refused")
}

// Open returns how many connections clients have open.
func (n *Network) Open() int {
	open := 0
	for _, p := range n.proxies {
		open += p.Open()
	}
	return open
}

// Close closes all proxies.
func (n *Network) Close() error {
	for _, p := range n.proxies {
		p.Close()
	}
	return nil
}
