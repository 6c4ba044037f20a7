package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// A DNS is a name server whose answers a test sets. It knows A and AAAA records, of a lifetime of 0, and answers NXDOMAIN
// to what it does not know. Its methods may be called concurrently. Close it.
type DNS struct {
	conn net.PacketConn
	wg   sync.WaitGroup // the serving goroutine

	mu      sync.Mutex
	names   map[string][]netip.Addr // guarded by mu, as what follows
	queries map[string]int
}

// NewDNS starts a name server on a free loopback port, over UDP.
func NewDNS() (*DNS, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	d := &DNS{conn: conn, names: map[string][]netip.Addr{}, queries: map[string]int{}}
	d.wg.Go(d.serve) // ends when conn is closed; joined by Close
	return d, nil
}

// Set makes name resolve to ips, and to nothing (NXDOMAIN) if there are none. It panics if one of them is no IP address:
// that is a mistake in the test.
func (d *DNS) Set(name string, ips ...string) {
	addrs := make([]netip.Addr, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.MustParseAddr(ip)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[fqdn(name)] = addrs
}

// Queries returns how many questions came for name, those of A and of AAAA records alike.
func (d *DNS) Queries(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queries[fqdn(name)]
}

// Addr returns the host and UDP port at which d answers.
func (d *DNS) Addr() string { return d.conn.LocalAddr().String() }

// Resolver returns a resolver that asks d alone. Use it in a net.Dialer. Names that the hosts file knows, such as
// localhost, and IP addresses do not come to d.
func (d *DNS) Resolver() *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp4", d.Addr())
		},
	}
}

// Close ends the server and waits for it. It may be called twice.
func (d *DNS) Close() error {
	d.conn.Close()
	d.wg.Wait()
	return nil
}

func (d *DNS) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := d.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of a client that has gone
		}
		if reply, err := d.answer(buf[:n]); err == nil {
			d.conn.WriteTo(reply, from) // a lost answer is what UDP is
		}
	}
}

// answer returns the reply to a query.
func (d *DNS) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	name := fqdn(q.Name.String())
	d.queries[name]++
	addrs := d.names[name]
	d.mu.Unlock()
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{q},
	}
	if len(addrs) == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		if body := resource(q.Type, a); body != nil {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   body,
			})
		}
	}
	return m.Pack()
}

// resource returns a as the record that was asked for, nil if it is not one.
func resource(t dnsmessage.Type, a netip.Addr) dnsmessage.ResourceBody {
	switch {
	case t == dnsmessage.TypeA && a.Is4():
		return &dnsmessage.AResource{A: a.As4()}
	case t == dnsmessage.TypeAAAA && a.Is6():
		return &dnsmessage.AAAAResource{AAAA: a.As16()}
	}
	return nil
}

// fqdn is how names are compared.
func fqdn(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
