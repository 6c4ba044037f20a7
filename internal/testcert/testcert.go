package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// An Authority signs certificates. Its methods may be called concurrently.
type Authority struct {
	// File is the authority's own certificate, PEM.
	File string

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// A Leaf is a certificate with its key, as files in PEM and as Go wants it.
type Leaf struct {
	CertFile, KeyFile string
	Certificate       tls.Certificate
}

// LeafOptions say what a leaf is good for. The zero value, and nil, is a certificate of this machine, valid now.
type LeafOptions struct {
	// Hosts are the names and addresses it is for. Default: localhost, 127.0.0.1 and ::1.
	Hosts []string

	// NotAfter is when it expires. Default: in a day. It is valid from a day before that, or from an hour ago, whichever
	// is earlier.
	NotAfter time.Time
}

// New makes an authority of that name, whose files stand in dir, which must exist.
func New(dir, name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("testcert: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("testcert: sign the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("testcert: %w", err)
	}
	a := &Authority{File: filepath.Join(dir, "ca.pem"), dir: dir, cert: cert, key: key}
	if err := writePEM(a.File, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return a, nil
}

// Issue signs a certificate for servers and clients, and puts it and its key into the files name.pem and name.key.
func (a *Authority) Issue(name string, o *LeafOptions) (*Leaf, error) {
	if o == nil {
		o = &LeafOptions{}
	}
	hosts, notAfter := o.Hosts, o.NotAfter
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	if notAfter.IsZero() {
		notAfter = time.Now().Add(24 * time.Hour)
	}
	notBefore := notAfter.Add(-24 * time.Hour)
	if earliest := time.Now().Add(-time.Hour); earliest.Before(notBefore) {
		notBefore = earliest
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    notBefore,
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("testcert: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("testcert: sign %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("testcert: %w", err)
	}
	l := &Leaf{
		CertFile:    filepath.Join(a.dir, name+".pem"),
		KeyFile:     filepath.Join(a.dir, name+".key"),
		Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
	if err := writePEM(l.CertFile, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return l, writePEM(l.KeyFile, "PRIVATE KEY", keyDER)
}

// Pool returns a pool that trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// ClientConfig returns the configuration of a client that trusts this authority alone, and shows the certificates to who
// asks for one.
func (a *Authority) ClientConfig(show ...*Leaf) *tls.Config {
	config := &tls.Config{RootCAs: a.Pool()}
	for _, l := range show {
		config.Certificates = append(config.Certificates, l.Certificate)
	}
	return config
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the system has no randomness: crypto/rand documents that it does not return
	}
	return n
}

func writePEM(file, kind string, der []byte) error {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("testcert: %w", err)
	}
	return nil
}
