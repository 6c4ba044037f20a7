package memcached

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/memcachedconn"
)

// errUnsettled ends a Count whose counter came and went.
var errUnsettled = errors.New("memcached: count: the counter comes and goes: the server has too little memory")

// Count implements driver.Counter. memcached's counters are unsigned and wrap around, so a negative delta is added as
// its two's complement.
func (s *store) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	server := s.pool.Pick(key)
	for range 8 {
		var incarnation string
		err := server.Read(ctx, func(session *memcachedconn.Session) error {
			incarnation = session.Incarnation()
			_, err := session.Get() // asks for the nonce only
			return err
		})
		if err != nil {
			return 0, err
		}
		var sum uint64
		_, err = server.Do(ctx, func(session *memcachedconn.Session) (err error) {
			if session.Incarnation() != incarnation {
				return errLaterLife
			}
			sum, err = count(session.Client(), session.Key(key), delta, expiration(ttl, time.Now()))
			return err
		})
		if !errors.Is(err, errLaterLife) && !errors.Is(err, memcache.ErrCacheMiss) && !errors.Is(err, memcache.ErrNotStored) {
			return int64(sum), err
		}
	}
	return 0, errUnsettled
}

// count fails with ErrCacheMiss or ErrNotStored if the counter went or came meanwhile: then nothing was counted. It
// touches before it counts, so that the counter cannot expire between the two.
func count(client *memcache.Client, key string, delta int64, exptime int32) (sum uint64, err error) {
	switch err := client.Touch(key, exptime); {
	case err == nil:
		return client.Increment(key, uint64(delta))
	case !errors.Is(err, memcache.ErrCacheMiss):
		return 0, err
	}
	sum = uint64(delta)
	return sum, client.Add(&memcache.Item{Key: key, Value: strconv.AppendUint(nil, sum, 10), Expiration: exptime})
}
