package redisconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// overTLS makes a dialer of TLS connections. A handshake that fails is an error of dialling: nothing was sent.
func overTLS(dial dialFunc, config *tls.Config) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		raw, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := config.Clone()
		if c.ServerName == "" {
			if c.ServerName, _, err = net.SplitHostPort(addr); err != nil {
				c.ServerName = addr
			}
		}
		wrapped := &secureConn{}
		wrapped.watchCertificate(c)
		secure := tls.Client(raw, c)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // the error that counts is the handshake's
			return nil, &net.OpError{Op: "dial", Net: network, Addr: hostPort(addr), Err: fmt.Errorf("TLS: %w", err)}
		}
		wrapped.Conn = secure
		return wrapped, nil
	}
}
