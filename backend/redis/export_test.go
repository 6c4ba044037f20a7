package redis

import "testing"

// OpenDriver is the driver below a Store, whose keys are not escaped.
func OpenDriver(t testing.TB, url string, o *Options) *store {
	t.Helper()
	return openDriver(t, url, o)
}
