package coherence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/server"
)

// snapshotFile is what Redis reads when it starts.
const snapshotFile = "dump.rdb"

// redisFaults are what can happen to a Redis server from within.
func (s *site) redisFaults() []fault {
	lane := s.role
	list := []fault{
		{name: "flushall-" + s.role, about: "FLUSHALL", lane: lane, lasts: p1 / 10, play: s.redisDo("FLUSHALL")},
		{name: "kill-pubsub-" + s.role, about: "CLIENT KILL TYPE pubsub", lane: lane, lasts: p1 / 10, play: s.redisDo("CLIENT", "KILL", "TYPE", "pubsub")},
		{name: "small-buffers-" + s.role, about: "subscribers to whom 32 kB cannot be sent at once are thrown out, and large messages come", lane: lane, lasts: p1 / 2, play: s.smallBuffers},
		{name: "evict-" + s.role, about: "the server must do with less memory and evicts keys of all kinds", lane: lane, lasts: 3 * p1 / 2, play: s.evict},
	}
	if s.own {
		list = append(list, fault{name: "restore-" + s.role, about: "the server comes back with a snapshot that is seconds old", lane: lane, lasts: 4 * p1, play: s.restore})
	}
	if s.group != nil {
		list = append(list, fault{name: "failover-" + s.role, about: "the primary is killed or stopped, and its Sentinels make the replica primary", lane: lane, lasts: 7 * p1, play: s.failover})
	}
	return list
}

// redisClient talks to the server itself.
func (s *site) redisClient() (*goredis.Client, error) {
	o, err := goredis.ParseURL(s.server().URL())
	if err != nil {
		return nil, errors.New("coherence: malformed URL")
	}
	o.MaxRetries = -1
	return goredis.NewClient(o), nil
}

// redisDo is a fault that is one command.
func (s *site) redisDo(args ...any) func(context.Context, *playing) error {
	return func(ctx context.Context, p *playing) error {
		c, err := s.redisClient()
		if err != nil {
			return err
		}
		defer c.Close()
		p.begin("%s", s.server().Addr())
		return c.Do(ctx, args...).Err()
	}
}

func (s *site) smallBuffers(ctx context.Context, p *playing) error {
	c, err := s.redisClient()
	if err != nil {
		return err
	}
	defer c.Close()
	const name = "client-output-buffer-limit"
	p.begin("%s", s.server().Addr())
	if err := c.ConfigSet(ctx, name, "pubsub 32kb 32kb 1").Err(); err != nil {
		return err
	}
	channels, err := c.PubSubChannels(ctx, "*").Result()
	junk := strings.Repeat("x", 200<<10)
	for _, channel := range channels {
		if strings.Contains(channel, p.id) { // no other bus on a server that is not ours
			err = errors.Join(err, c.Publish(ctx, channel, junk).Err())
		}
	}
	p.hold(ctx, p1/4, p1)
	return errors.Join(err, c.ConfigSet(context.WithoutCancel(ctx), name, "pubsub 32mb 8mb 60").Err())
}

func (s *site) evict(ctx context.Context, p *playing) error {
	c, err := s.redisClient()
	if err != nil {
		return err
	}
	defer c.Close()
	used, err := redisUsed(ctx, c)
	if err != nil {
		return err
	}
	before, err := c.ConfigGet(ctx, "maxmemory*").Result()
	if err != nil {
		return err
	}
	p.begin("%s", s.server().Addr())
	err = errors.Join(
		c.ConfigSet(ctx, "maxmemory-policy", "allkeys-random").Err(),
		c.ConfigSet(ctx, "maxmemory", fmt.Sprint(max(used-used/20, 1<<20))).Err(),
	)
	p.hold(ctx, p1/2, 5*p1/2)
	healing := context.WithoutCancel(ctx)
	return errors.Join(err,
		c.ConfigSet(healing, "maxmemory", before["maxmemory"]).Err(),
		c.ConfigSet(healing, "maxmemory-policy", before["maxmemory-policy"]).Err())
}

// redisUsed is how much memory the server takes.
func redisUsed(ctx context.Context, c *goredis.Client) (used int64, err error) {
	info, err := c.Info(ctx, "memory").Result()
	for line := range strings.Lines(info) {
		if n, err := fmt.Sscanf(line, "used_memory:%d", &used); n == 1 && err == nil {
			return used, nil
		}
	}
	return 0, errors.Join(err, errors.New("coherence: INFO has no used_memory"))
}

// restore takes a snapshot, lets the world go on, and brings the snapshot back.
func (s *site) restore(ctx context.Context, p *playing) error {
	c, err := s.redisClient()
	if err != nil {
		return err
	}
	defer c.Close()
	srv := s.server()
	if err := c.Save(ctx).Err(); err != nil {
		return err
	}
	kept := filepath.Join(p.folder, "snapshot")
	if err := copyFile(kept, filepath.Join(srv.Dir(), snapshotFile)); err != nil {
		return err
	}
	p.hold(ctx, p1, 4*p1)
	if ctx.Err() != nil {
		return nil
	}
	p.begin("%s", srv.Addr())
	if err := srv.Kill(); err != nil {
		return err
	}
	return errors.Join(s.restart(context.WithoutCancel(ctx), srv, kept), p.settled(ctx, s))
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// failover takes the primary away until another one leads.
func (s *site) failover(ctx context.Context, p *playing) error {
	old := s.server()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 40*time.Second)
	defer cancel()
	if err := s.group.AwaitReady(ctx); err != nil {
		return err
	}
	if err := s.downAfter(ctx, impatient); err != nil {
		return err
	}
	p.begin("%s", old.Addr())
	stopped := p.rand.IntN(2) == 0
	var err error
	if stopped {
		err = old.Pause()
	} else {
		err = old.Kill()
	}
	if err != nil {
		return err
	}
	if _, err = s.group.AwaitFailover(ctx, old); err == nil {
		p.lead(ctx, s)
	}
	err = errors.Join(err, s.downAfter(ctx, patient)) // before another one is called for
	if stopped {
		err = errors.Join(err, old.Resume())
	} else {
		err = errors.Join(err, s.restart(ctx, old, ""))
	}
	return errors.Join(err, p.settled(ctx, s))
}

// impatient is how long Sentinels wait for a silent primary that they shall replace.
const impatient = time.Second

// downAfter tells the Sentinels how long to wait for a silent primary.
func (s *site) downAfter(ctx context.Context, d time.Duration) error {
	var errs []error
	for _, sentinel := range s.group.Sentinels() {
		c := goredis.NewClient(&goredis.Options{Addr: sentinel.Addr(), Protocol: 2, MaxRetries: -1})
		errs = append(errs, c.Do(ctx, "SENTINEL", "SET", server.SentinelMaster, "down-after-milliseconds", d.Milliseconds()).Err(), c.Close())
	}
	return errors.Join(errs...)
}
