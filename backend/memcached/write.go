package memcached

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/memcachedconn"
)

// writers is how many keys of one Write are written at once: each takes two round trips.
const writers = 16

// Write implements driver.Driver by driver.Loop: ops of one key in order, keys at the same time. Once a server has failed,
// what is left for it is not sent: a batch costs a dead server's timeout once, not once for each key.
func (s *store) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	var down downs
	if len(ops) == 1 {
		s.write(ctx, &down, ops, effects, []int{0})
		return effects
	}
	var chains [][]int // indexes of the ops at one key
	chainOf := make(map[string]int, len(ops))
	for i, op := range ops {
		c, ok := chainOf[op.Key]
		if !ok {
			c = len(chains)
			chainOf[op.Key] = c
			chains = append(chains, nil)
		}
		chains[c] = append(chains[c], i)
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(writers, len(chains), s.pool.Options().Connections) {
		workers.Go(func() {
			for {
				c := int(next.Add(1)) - 1
				if c >= len(chains) {
					return
				}
				s.write(ctx, &down, ops, effects, chains[c])
			}
		})
	}
	workers.Wait()
	return effects
}

// write applies the ops at one key.
func (s *store) write(ctx context.Context, down *downs, ops []driver.Op, effects []driver.Effect, chain []int) {
	server := s.pool.Pick(ops[chain[0]].Key).String()
	for _, i := range chain {
		if err := down.get(server); err != nil {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
			continue
		}
		effects[i] = driver.Loop(ctx, swapper{s.pool}, ops[i], time.Now)
		var gone *memcachedconn.UnavailableError
		if errors.As(effects[i].Err, &gone) {
			down.set(server, effects[i].Err)
		}
	}
}

// downs are the servers that failed during one Write.
type downs struct{ m sync.Map }

func (d *downs) set(server string, err error) { d.m.Store(server, err) }

func (d *downs) get(server string) error {
	if err, ok := d.m.Load(server); ok {
		return err.(error)
	}
	return nil
}

// A swapper is memcached's compare-and-swap.
type swapper struct{ pool *memcachedconn.Pool }

// A handle is the state that Load saw.
type handle struct {
	owner       memcachedconn.Owner
	incarnation string // of the server: ids of another one mean nothing
	there       bool   // there was an item, too short to be a record perhaps
	id          uint64 // its CAS id
}

// errLaterLife says that the server lost its data since Load.
var errLaterLife = errors.New("memcached: another incarnation")

// Load implements driver.Swapper.
func (s swapper) Load(ctx context.Context, key string) (current []byte, h handle, err error) {
	for range turns {
		owner := s.pool.Pick(key)
		err = owner.Read(ctx, func(session *memcachedconn.Session) error {
			items, err := session.Get(key)
			if err != nil {
				return err
			}
			current, h = nil, handle{owner: owner, incarnation: session.Incarnation()}
			if item := items[0]; item != nil {
				h.there, h.id = true, item.CasID
				if len(item.Value) >= record.HeaderLen {
					current = item.Value
				}
			}
			return nil
		})
		if !errors.Is(err, memcachedconn.ErrChanged) {
			break
		}
	}
	return current, h, err
}

// CompareAndSwap implements driver.Swapper.
func (s swapper) CompareAndSwap(ctx context.Context, key string, h handle, next []byte, ttl time.Duration) (driver.Outcome, error) {
	if next == nil && !h.there {
		return driver.Done, nil
	}
	sent, err := h.owner.Do(ctx, func(session *memcachedconn.Session) error {
		if session.Incarnation() != h.incarnation {
			return errLaterLife
		}
		item := &memcache.Item{Key: session.Key(key), Value: next, CasID: h.id, Expiration: expired}
		if next != nil {
			item.Expiration = expiration(ttl, time.Now())
		}
		if !h.there {
			return session.Client().Add(item)
		}
		return session.Client().CompareAndSwap(item)
	})
	var reply *memcachedconn.ReplyError
	switch {
	case err == nil:
		return driver.Done, nil
	case errors.Is(err, errLaterLife),
		errors.Is(err, memcachedconn.ErrChanged),
		errors.Is(err, memcache.ErrNotStored),   // add: something is there now
		errors.Is(err, memcache.ErrCASConflict), // cas: something else is there now
		errors.Is(err, memcache.ErrCacheMiss):   // cas: nothing is there now
		return driver.Refused, nil
	case !sent, errors.As(err, &reply) && reply.NothingDone():
		return driver.Unsent, err
	}
	return driver.Unknown, err
}
