package memcached

import (
	"math"
	"time"
)

// expired is an exptime of the past: what is stored with it is gone at once.
const expired int32 = -1

// month is the longest exptime that memcached takes as relative; what is above it is a Unix time.
const month = 30 * 24 * time.Hour

// expiration returns the exptime with which an item lives at least ttl. memcached counts whole seconds from its last tick,
// so n seconds last more than n−1: hence one more.
func expiration(ttl time.Duration, now time.Time) int32 {
	relative := ttl.Truncate(time.Second)
	if relative < ttl {
		relative += time.Second
	}
	relative += time.Second
	if relative <= month {
		return int32(relative / time.Second)
	}
	end := now.Unix() + 1 + int64(relative/time.Second)
	if relative < 0 || end > math.MaxInt32 { // overflow, or beyond what the client can say
		return 0 // no expiry: the record has its own
	}
	return int32(end)
}
