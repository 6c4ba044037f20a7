package node

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/tier"
)

// plain is what one writes by hand: Ristretto before Redis before the source, one load a process at a time, and an
// invalidation that deletes, publishes, and hopes. It is what a cache of package tier is compared with.
type plain struct {
	source *Source
	local  *ristretto.Cache[int, Value]
	remote *goredis.Client
	sub    *goredis.PubSub
	prefix string
	done   sync.WaitGroup

	mu      sync.Mutex
	flights map[int]*plainFlight // guarded by mu
}

// plainFlight is a read that several wait for.
type plainFlight struct {
	over  chan struct{} // closed when the rest is set
	value Value
	tier  tier.Tier
	err   error
}

const plainTTL = time.Hour

func newPlain(ctx context.Context, c *Config, source *Source) (cache, error) {
	url, _, _ := strings.Cut(c.Backend, "?") // the parameters are of our own client
	o, err := goredis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	local, err := ristretto.NewCache(&ristretto.Config[int, Value]{NumCounters: 1e5, MaxCost: 64 << 20, BufferItems: 64})
	if err != nil {
		return nil, err
	}
	p := &plain{source: source, local: local, remote: goredis.NewClient(o), prefix: c.Name + "/" + c.Run + "/", flights: map[int]*plainFlight{}}
	p.sub = p.remote.Subscribe(ctx, p.prefix)
	if _, err := p.sub.Receive(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.done.Go(func() { // ends when Close closes sub
		for m := range p.sub.Channel() {
			if key, err := strconv.Atoi(m.Payload); err == nil {
				p.local.Del(key)
			}
		}
	})
	return p, nil
}

func (p *plain) key(key int) string { return p.prefix + strconv.Itoa(key) }

func (p *plain) Read(ctx context.Context, key int, _ bool) (Value, tier.Tier, error) {
	if v, ok := p.local.Get(key); ok {
		return v, tier.Local, nil
	}
	p.mu.Lock()
	f := p.flights[key]
	if f != nil {
		p.mu.Unlock()
		<-f.over // all share one timeout, more or less
		return f.value, f.tier, f.err
	}
	f = &plainFlight{over: make(chan struct{})}
	p.flights[key] = f
	p.mu.Unlock()
	f.value, f.tier, f.err = p.fetch(ctx, key)
	p.mu.Lock()
	delete(p.flights, key)
	p.mu.Unlock()
	close(f.over)
	return f.value, f.tier, f.err
}

func (p *plain) fetch(ctx context.Context, key int) (v Value, from tier.Tier, err error) {
	b, err := p.remote.Get(ctx, p.key(key)).Bytes()
	switch {
	case err == nil && len(b) == 8:
		v, from = Value{Key: key, Version: int64(binary.BigEndian.Uint64(b))}, tier.Remote
	case err != nil && !errors.Is(err, goredis.Nil):
		return v, from, err
	default:
		if v, err = p.source.Load(ctx, key); err != nil {
			return v, from, err
		}
		from = tier.Source
		b := binary.BigEndian.AppendUint64(nil, uint64(v.Version))
		if err := p.remote.Set(ctx, p.key(key), b, plainTTL).Err(); err != nil {
			return v, from, err
		}
	}
	p.local.SetWithTTL(key, v, 1, plainTTL)
	return v, from, nil
}

func (p *plain) ReadMany(ctx context.Context, keys []int) []tier.Entry[Value] {
	entries := make([]tier.Entry[Value], len(keys))
	for i, key := range keys {
		entries[i].Value, entries[i].Tier, entries[i].Err = p.Read(ctx, key, false)
	}
	return entries
}

// Write is Invalidate, whatever is asked for.
func (p *plain) Write(ctx context.Context, c *change) error {
	key := c.keys[0]
	if _, err := c.commit(ctx, key); err != nil {
		return err
	}
	c.begin()
	if err := p.remote.Del(ctx, p.key(key)).Err(); err != nil {
		return err
	}
	p.local.Del(key)
	return p.remote.Publish(ctx, p.prefix, strconv.Itoa(key)).Err()
}

// Stats says that it trusts its local tier, as it always does.
func (p *plain) Stats() tier.Stats { return tier.Stats{Trusted: true} }

func (p *plain) Close() error {
	err := p.sub.Close()
	p.done.Wait()
	p.local.Close()
	return errors.Join(err, p.remote.Close())
}
