package redisconn

import (
	"crypto/tls"
	"net"
	"sync/atomic"
)

// A secureConn is a TLS connection whose errors tell what the server may think of the client's certificate. With TLS 1.3 the
// server judges it after the client's handshake is over, and one that does not like it may reset the connection before its
// alert can be read: until something was read, a failure says what may be behind it.
type secureConn struct {
	net.Conn
	asked, given bool        // whether the server asked for a certificate, and got one
	accepted     atomic.Bool // something was read
}

// watchCertificate makes config note whether the server asks for a certificate, and gets one.
func (s *secureConn) watchCertificate(config *tls.Config) {
	chosen := config.GetClientCertificate
	config.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		s.asked = true
		if chosen != nil {
			c, err := chosen(request)
			s.given = c != nil && len(c.Certificate) > 0
			return c, err
		}
		for i := range config.Certificates { // as crypto/tls does
			if request.SupportsCertificate(&config.Certificates[i]) == nil {
				s.given = true
				return &config.Certificates[i], nil
			}
		}
		return new(tls.Certificate), nil
	}
}

func (s *secureConn) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if n > 0 {
		s.accepted.Store(true)
	}
	return n, s.explain(err)
}

func (s *secureConn) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	return n, s.explain(err)
}

// Close closes the connection. That a server which is gone did not take the goodbye is no error.
func (s *secureConn) Close() error {
	_ = s.Conn.Close()
	return nil
}

func (s *secureConn) explain(err error) error {
	if err == nil || !s.asked || s.accepted.Load() {
		return err
	}
	return &certificateError{given: s.given, cause: err}
}

type certificateError struct {
	given bool
	cause error
}

func (e *certificateError) Error() string {
	if e.given {
		return e.cause.Error() + " (the server asked for a client certificate, and may not accept the one given)"
	}
	return e.cause.Error() + " (the server asked for a client certificate, and none was given)"
}

// Unwrap returns a list because the library takes the outermost layer off what fails while it greets a server, unless that
// wraps several.
func (e *certificateError) Unwrap() []error { return []error{e.cause} }
