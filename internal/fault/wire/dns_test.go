package wire_test

import (
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/strata-cache/strata/internal/fault/wire"
)

func TestNamesResolveAsSet(t *testing.T) {
	t.Parallel()
	d, err := wire.NewDNS()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	resolve := func() []string {
		ips, err := d.Resolver().LookupHost(t.Context(), "cache.test.")
		var failed *net.DNSError
		if err != nil && (!errors.As(err, &failed) || !failed.IsNotFound) {
			t.Fatal(err)
		}
		slices.Sort(ips)
		return ips
	}
	for _, ips := range [][]string{nil, {"127.0.0.1"}, {"127.0.0.2", "127.0.0.3", "::1"}, nil} {
		d.Set("Cache.test", ips...)
		if got := resolve(); !slices.Equal(got, ips) {
			t.Errorf("resolves to %v, want %v", got, ips)
		}
	}
	if n := d.Queries("cache.test"); n < 4 {
		t.Errorf("%d queries, want at least 4", n)
	}
}
