package memcached

import (
	"math"
	"time"
)

// expired is an exptime of the past: what is stored with it is gone at once.
const expired int32 = -1

// month is the longest exptime, in seconds, that memcached takes as relative; what is above it is a Unix time.
const month = 30 * 24 * 60 * 60

// expiration returns the exptime with which an item lives at least ttl. memcached counts whole seconds from its last tick,
// so n seconds last more than n−1: hence one more.
func expiration(ttl time.Duration, now time.Time) int32 {
	seconds := int64(ttl/time.Second) + 1
	if ttl%time.Second > 0 {
		seconds++
	}
	if seconds <= month {
		return int32(seconds)
	}
	end := now.Unix() + 1 + seconds
	if end > math.MaxInt32 { // beyond what the client can say
		return 0 // no expiry: the record has its own
	}
	return int32(end)
}
