package urlparam

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSFiles are what the parameters tls_ca, tls_cert, tls_key and tls_server_name say.
type TLSFiles struct{ CA, Cert, Key, ServerName string }

// WithTLS adds the parameters of TLS to s, which it returns. files says where options keep them.
func WithTLS[O any](s Set[O], files func(o *O) *TLSFiles) Set[O] {
	for name, field := range map[string]func(f *TLSFiles) *string{
		"tls_ca":          func(f *TLSFiles) *string { return &f.CA },
		"tls_cert":        func(f *TLSFiles) *string { return &f.Cert },
		"tls_key":         func(f *TLSFiles) *string { return &f.Key },
		"tls_server_name": func(f *TLSFiles) *string { return &f.ServerName },
	} {
		s[name] = func(o *O, value string) error { return Text(field(files(o)), name, value) }
	}
	return s
}

// Config returns a copy of base, which may be nil, with what the files say. They are read now, so that a mistake shows at
// once; the client's certificate and key are read again by each handshake, so that they may be replaced meanwhile.
func (f TLSFiles) Config(base *tls.Config) (*tls.Config, error) {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	if f.ServerName != "" {
		config.ServerName = f.ServerName
	}
	var problems []error
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		config.RootCAs = x509.NewCertPool()
		if err != nil {
			problems = append(problems, fmt.Errorf("URL parameter tls_ca: %w", err))
		} else if !config.RootCAs.AppendCertsFromPEM(pem) {
			problems = append(problems, fmt.Errorf("URL parameter tls_ca: %s has no certificate in PEM", f.CA))
		}
	}
	switch {
	case f.Cert == "" && f.Key == "":
	case f.Cert == "" || f.Key == "":
		problems = append(problems, errors.New("URL parameters tls_cert and tls_key: give both or none"))
	default:
		if _, err := f.pair(); err != nil {
			problems = append(problems, err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.pair() }
	}
	return config, errors.Join(problems...)
}

func (f TLSFiles) pair() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("URL parameters tls_cert and tls_key: %w", err)
	}
	return &pair, nil
}
