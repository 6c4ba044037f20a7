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

// bias is what memcached holds for 0: its counters are unsigned and decr stops at 0. Two's complement, with its incr that
// wraps around, does not do: at numbers from 2^63 on, memcached 1.6.18 looks for a minus sign even behind the number, in
// memory that belongs to something else, and sometimes answers that the number is none.
const bias = 1 << 62

// errRange says that a counter left what memcached can count.
var errRange = errors.New("memcached: count: the sum is not between -2^62 and 2^62")

// Count implements driver.Counter.
func (s *store) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	for range 8 {
		owner := s.pool.Pick(key)
		var incarnation string
		err := owner.Read(ctx, func(session *memcachedconn.Session) error {
			incarnation = session.Incarnation()
			_, err := session.Get() // asks for the nonce only
			return err
		})
		if errors.Is(err, memcachedconn.ErrChanged) {
			continue
		}
		if err != nil {
			return 0, err
		}
		var sum int64
		_, err = owner.Do(ctx, func(session *memcachedconn.Session) (err error) {
			if session.Incarnation() != incarnation {
				return errLaterLife
			}
			sum, err = count(session.Client(), session.Key(key), delta, expiration(ttl, time.Now()))
			return err
		})
		if !errors.Is(err, errLaterLife) && !errors.Is(err, memcachedconn.ErrChanged) && !errors.Is(err, memcache.ErrCacheMiss) && !errors.Is(err, memcache.ErrNotStored) {
			return sum, err
		}
	}
	return 0, errUnsettled
}

// count fails with ErrCacheMiss or ErrNotStored if the counter went or came meanwhile: then nothing was counted. It
// touches before it counts, so that the counter cannot expire between the two.
func count(client *memcache.Client, key string, delta int64, exptime int32) (int64, error) {
	var held uint64
	err := client.Touch(key, exptime)
	switch {
	case err == nil && delta >= 0:
		held, err = client.Increment(key, uint64(delta))
	case err == nil:
		held, err = client.Decrement(key, -uint64(delta))
	case errors.Is(err, memcache.ErrCacheMiss):
		if held = bias + uint64(delta); held-1 >= 2*bias-1 {
			return 0, errRange
		}
		err = client.Add(&memcache.Item{Key: key, Value: strconv.AppendUint(nil, held, 10), Expiration: exptime})
	}
	if err == nil && held-1 >= 2*bias-1 { // 0 may stand for anything below
		err = errRange
	}
	return int64(held - bias), err
}
