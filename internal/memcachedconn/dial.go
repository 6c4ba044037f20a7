package memcachedconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// connect returns a connection to a server that took the user, with the TCP connection below it.
func (p *Pool) connect(ctx context.Context, addr string) (*greeting, net.Conn, error) {
	dial := p.opts.Dialer
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	g, err := p.enterServer(ctx, raw, addr)
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	return g, raw, nil
}

// enterServer puts TLS on a connection and names the user, as far as the options say so.
func (p *Pool) enterServer(ctx context.Context, raw net.Conn, addr string) (*greeting, error) {
	nc := raw
	if p.secure {
		config := p.opts.TLS.Clone()
		if config.ServerName == "" {
			var err error
			if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
				return nil, err
			}
		}
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		nc = secure
	}
	g := newGreeting(nc, p.markKey)
	if p.opts.Username == "" {
		return g, nil
	}
	defer endWith(ctx, raw)()
	if err := g.authenticate(&p.opts); err != nil {
		return nil, p.hungUp(g, err)
	}
	return g, ctx.Err()
}

// hungUp explains that a server ends a connection right after the handshake of TLS. Servers check the client's certificate
// only then, and their alert is often lost in the reset.
func (p *Pool) hungUp(g *greeting, err error) error {
	if p.secure && !g.heard && !isTimeout(err) {
		return fmt.Errorf("the server hung up after the TLS handshake, as if it did not accept the client's certificate or its lack: %w", err)
	}
	return err
}

// endWith ends what goes on at a connection when ctx ends.
func endWith(ctx context.Context, nc net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { nc.SetDeadline(past) })
}

// dialNative makes the connections of the native client.
func (p *Pool) dialNative(ctx context.Context, _, addr string) (net.Conn, error) {
	g, _, err := p.connect(ctx, addr)
	if err != nil {
		return nil, &UnavailableError{Server: addr, Cause: err}
	}
	return g.nc, nil
}

// dial returns a connection to s that has shaken hands.
func (p *Pool) dial(ctx context.Context, s *Server, deadline time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	g, raw, err := p.connect(ctx, s.name)
	if err != nil {
		return nil, err
	}
	defer endWith(ctx, raw)()
	c := &conn{Conn: g.nc, raw: raw, pool: p.opts.Pool, reply: replies{itemSize: p.opts.ItemSize}}
	if p.keeper == nil {
		err = c.greetFixed(g, p.standing.Load().roster)
	} else {
		err = p.keeper.greet(ctx, g, c, s)
	}
	if err == nil && g.r.Buffered() > 0 {
		err = errHandshake
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		raw.Close()
		return nil, p.hungUp(g, err)
	}
	c.life = c.tag(tenancy{})
	p.connected(s.name, c.life)
	return c, nil
}

func (c *conn) greetFixed(g *greeting, r *roster) error {
	f, err := g.read(newNonce())
	if err != nil {
		return err
	}
	if !isNonce(f.value) {
		return errForeignMark
	}
	c.mark, c.nonce, c.pid, c.roster = f.value, f.value, f.pid, r
	return nil
}

// greet reads the server's mark, and opens it to the list of servers that is registered.
//
// The order matters: what is swapped was read before the list was loaded. Whoever changes the list registers the change
// first and shuts the marks then. So either this load sees the change, or the swap meets a mark that was shut after it
// was read.
func (k *keeper) greet(ctx context.Context, g *greeting, c *conn, s *Server) error {
	for {
		f, err := g.read(mark{nonce: newNonce()}.String())
		if err != nil {
			return err
		}
		m, err := parseMark(f.value)
		if err != nil {
			return err
		}
		st := k.pool.standing.Load()
		if st.roster == nil || !m.isOpen(f.pid, st.roster.list.ID) {
			if st, err = k.refresh(ctx); err != nil {
				return err
			}
		}
		switch {
		case st.roster != nil && !st.roster.has(s):
			return ErrChanged
		case st.roster != nil && m.isOpen(f.pid, st.roster.list.ID):
			c.mark, c.nonce, c.pid, c.roster = f.value, m.nonce, f.pid, st.roster
			return nil
		case st.roster == nil || st.pending:
			if _, err := k.await(ctx, time.Time{}, st); err != nil {
				return err
			}
		default:
			next := mark{nonce: m.nonce, pid: f.pid, open: st.roster.list.ID}
			swapped, err := g.swap(f, next.String())
			if err != nil {
				return err
			}
			if swapped {
				c.mark, c.nonce, c.pid, c.roster = next.String(), m.nonce, f.pid, st.roster
				return nil
			}
		}
	}
}
