package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// tlsFiles are the URL parameters of TLS.
type tlsFiles struct{ ca, cert, key, serverName string }

// apply returns a copy of base, nil included, with what the files say. They are read now, so that a mistake shows at once;
// the client's certificate and key are read again by each handshake, so that files may be replaced while it runs.
func (f tlsFiles) apply(base *tls.Config) (*tls.Config, error) {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	if f.serverName != "" {
		config.ServerName = f.serverName
	}
	var problems []error
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		config.RootCAs = x509.NewCertPool()
		if err != nil {
			problems = append(problems, fmt.Errorf("URL parameter tls_ca: %w", err))
		} else if !config.RootCAs.AppendCertsFromPEM(pem) {
			problems = append(problems, fmt.Errorf("URL parameter tls_ca: %s holds no certificate in PEM", f.ca))
		}
	}
	switch {
	case f.cert == "" && f.key == "":
	case f.cert == "" || f.key == "":
		problems = append(problems, errors.New("URL parameters tls_cert and tls_key: give both, or neither"))
	default:
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.cert, f.key)
			if err != nil {
				return nil, fmt.Errorf("URL parameters tls_cert and tls_key: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			problems = append(problems, err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return config, errors.Join(problems...)
}

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
