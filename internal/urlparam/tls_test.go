package urlparam_test

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/testcert"
	"github.com/strata-cache/strata/internal/urlparam"
)

type secure struct{ files urlparam.TLSFiles }

func TestTLSParametersNameFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := testcert.New(dir, "strata test")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue("client", nil)
	if err != nil {
		t.Fatal(err)
	}
	known := urlparam.WithTLS(urlparam.Set[secure]{}, func(o *secure) *urlparam.TLSFiles { return &o.files })
	config := func(query string) (*tls.Config, error) {
		var o secure
		if err := known.Apply(&o, query); err != nil {
			return nil, err
		}
		return o.files.Config(&tls.Config{MinVersion: tls.VersionTLS13})
	}
	got, err := config("tls_server_name=cache&tls_ca=" + ca.File + "&tls_cert=" + leaf.CertFile + "&tls_key=" + leaf.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if got.ServerName != "cache" || got.RootCAs == nil || got.MinVersion != tls.VersionTLS13 {
		t.Errorf("%q, roots %v, version %x", got.ServerName, got.RootCAs, got.MinVersion)
	}
	if pair, err := got.GetClientCertificate(nil); err != nil || len(pair.Certificate) != 1 {
		t.Errorf("the client's certificate: %v, %v", pair, err)
	}
	for query, want := range map[string]string{
		"tls_ca=":                                          "tls_ca is empty",
		"tls_ca=" + filepath.Join(dir, "no"):               "tls_ca: open",
		"tls_ca=" + leaf.KeyFile:                           "no certificate in PEM",
		"tls_cert=" + leaf.CertFile:                        "both or none",
		"tls_cert=" + ca.File + "&tls_key=" + leaf.KeyFile: "tls_cert and tls_key: tls: private key does not match",
	} {
		if _, err := config(query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}
