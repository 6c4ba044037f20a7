package memcached

import (
	"math"
	"testing"
	"time"
)

func TestExpiration(t *testing.T) {
	t.Parallel()
	const month = month * time.Second
	now := time.Unix(1_800_000_000, 999_000_000)
	for _, c := range []struct {
		ttl  time.Duration
		want int32
	}{
		{time.Millisecond, 2},
		{time.Second, 2},
		{1001 * time.Millisecond, 3},
		{month - time.Second, 30 * 24 * 3600},
		{month - time.Millisecond, 1_800_000_000 + 30*24*3600 + 2},
		{month, 1_800_000_000 + 30*24*3600 + 2},
		{month + time.Second, 1_800_000_000 + 30*24*3600 + 3},
		{20 * 365 * 24 * time.Hour, 0},
		{math.MaxInt64, 0},
	} {
		if got := expiration(c.ttl, now); got != c.want {
			t.Errorf("%v: %d, want %d", c.ttl, got, c.want)
		}
	}
}
