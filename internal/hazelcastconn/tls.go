package hazelcastconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsFiles are the URL parameters of TLS.
type tlsFiles struct {
	on                        bool
	ca, cert, key, serverName string
}

// apply returns a copy of base with what the parameters say, nil if there is no TLS. The files are read now, so that a
// mistake shows at once; certificate and key of the client are read again for each connection, so that they may be replaced.
func (f tlsFiles) apply(base *tls.Config) (*tls.Config, error) {
	if base == nil && f == (tlsFiles{}) {
		return nil, nil
	}
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
