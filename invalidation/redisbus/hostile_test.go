package redisbus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

func keyed(t *testing.T) *redisbus.Options {
	t.Helper()
	k, err := invalidation.NewKey("k", []byte("0123456789abcdef0123456789abcdef"))
	servertest.Require(t, err)
	ring, err := invalidation.NewKeyring(k)
	servertest.Require(t, err)
	return &redisbus.Options{Options: invalidation.Options{Keys: ring}}
}

// A stranger records what passes on the channels of a server, and publishes it again, at every position that could do harm.
func TestAStrangerOnTheChannelsHasNoEffectOnABusWithAKey(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	o := keyed(t)
	a, b := openNodeWith(t, s, s.Addr(), o), openNodeWith(t, s, s.Addr(), o)
	a.trustedNow(t)
	b.trustedNow(t)
	client(t, s, func(_ context.Context, c *redisconn.Conn) error {
		ctx := t.Context() // that of a call is over too soon
		ear := c.Client().PSubscribe(ctx, "{strata:bus}:*")
		defer ear.Close()
		if _, err := ear.Receive(ctx); err != nil {
			return err
		}
		a.announce(t, "1")
		a.bus.Wake("topic")
		var recorded []*redis.Message
		for len(recorded) < 8 {
			m, err := ear.ReceiveMessage(ctx)
			if err != nil {
				return err
			}
			recorded = append(recorded, m)
		}
		b.wait(t, "the key", func(r *recorder) bool { return len(r.keys) == 1 })
		woken, stop := b.bus.Woken("topic")
		defer stop()
		before := b.bus.Stats()
		for round := range 20 {
			at := b.Position()
			for _, m := range recorded {
				frame := m.Payload
				if strings.HasSuffix(m.Channel, ":frames") {
					frame = m.Payload[48 : len(m.Payload)-16]
				}
				inc := fmt.Sprintf("%x", at.Incarnation[:])
				for _, payload := range []string{
					m.Payload, published(inc, at.N+1, frame), published(inc, at.N+uint64(round), frame),
					published(inc, 1<<60, frame), published(fmt.Sprintf("%032x", round), at.N+1, frame), published(inc, at.N+1, "junk"),
				} {
					if err := c.Client().Publish(ctx, m.Channel, payload).Err(); err != nil {
						return err
					}
				}
			}
			b.trustedNow(t)
		}
		select {
		case <-woken:
			t.Error("woken")
		default:
		}
		after := b.bus.Stats()
		if after.Replays != before.Replays || after.Reconnects != before.Reconnects || after.Subscriptions != before.Subscriptions ||
			after.DroppedBy[invalidation.DropReplayed] == 0 || after.DroppedBy[invalidation.DropUndecodable] == 0 {
			t.Errorf("%+v, then %+v", before, after)
		}
		return nil
	})
	heard(t, a, b, "2")
	b.recorder.mu.Lock()
	defer b.recorder.mu.Unlock()
	if !slices.Equal(b.keys, []string{"1", "2"}) || b.flushes != 1 {
		t.Errorf("heard %v, %d flushes", b.keys, b.flushes)
	}
}

// published is what the log's script makes of a frame.
func published(incarnation string, n uint64, frame string) string {
	return fmt.Sprintf("%s%016x%s%016x", incarnation, n, frame, n)
}

// What the log's own script appends once more stands in the log, and is passed over.
func TestARecordedFrameThatIsAppendedOnceMoreHasNoEffectOnABusWithAKey(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	o := keyed(t)
	a, b := openNodeWith(t, s, s.Addr(), o), openNodeWith(t, s, s.Addr(), o)
	a.trustedNow(t)
	b.trustedNow(t)
	heard(t, a, b, "1")
	client(t, s, func(_ context.Context, c *redisconn.Conn) error {
		ctx := t.Context()
		for range 10 {
			const again = `
local last = redis.call('LRANGE', KEYS[2], -1, -1)[1]
local place = string.format('%016x', redis.call('HINCRBY', KEYS[1], 'n', 1))
local payload = string.sub(last, 1, 32) .. place .. string.sub(last, 49, -17) .. place
redis.call('RPUSH', KEYS[2], payload)
return redis.call('PUBLISH', ARGV[1], payload)`
			if err := c.Client().Eval(ctx, again, []string{"{strata:bus}:log", "{strata:bus}:recent"}, "{strata:bus}:frames").Err(); err != nil {
				return err
			}
			b.trustedNow(t)
		}
		return nil
	})
	heard(t, a, b, "2")
	b.recorder.mu.Lock()
	defer b.recorder.mu.Unlock()
	if !slices.Equal(b.keys, []string{"1", "2"}) || b.flushes != 1 || b.bus.Stats().DroppedBy[invalidation.DropReplayed] < 10 {
		t.Errorf("heard %v, %d flushes, %+v", b.keys, b.flushes, b.bus.Stats())
	}
}

// oldScript is the script of the version before frames were kept, as it was.
const oldScript = `
local nonce = redis.call('HGET', KEYS[1], 'nonce')
if not nonce then
  nonce = ARGV[1]
  redis.call('HSET', KEYS[1], 'nonce', nonce, 'n', 0)
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local repl = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local incarnation = string.sub(redis.sha1hex(nonce .. '/' .. run .. '/' .. repl), 1, 32)

local n = redis.call('HINCRBY', KEYS[1], 'n', #ARGV - 2)
local before = n - (#ARGV - 2)
for i = 3, #ARGV do
  redis.call('PUBLISH', ARGV[2], incarnation .. string.format('%016x', before + i - 2) .. ARGV[i])
end
return {incarnation, n}
`

// oldFrame invalidates a key of the cache products, as the first version wrote it.
func oldFrame(key string) string {
	return "sB\x01\x00" + "an older version" + "\x00" + "\x01" + "\x01" + "\x01" + "\x08products" + "\x01" + string(rune(len(key))) + key
}

func TestANodeOfAnOlderVersionIsHeardAndWhoMissesItFlushes(t *testing.T) {
	t.Parallel()
	o := newOutage(t, nil)
	old := func(key string) {
		client(t, o.server, func(ctx context.Context, c *redisconn.Conn) error {
			return c.Client().Eval(ctx, oldScript, []string{"{strata:bus}:log"}, "0123456789abcdef0123456789abcdef", "{strata:bus}:frames", oldFrame(key)).Err()
		})
	}
	old("heard")
	o.wantHeard(t, 1, "heard")
	o.cut()
	o.a.announce(t, "kept")
	old("not kept")
	o.a.announce(t, "kept too")
	o.heal(t)
	o.b.wait(t, "a flush", func(r *recorder) bool { return r.flushes == 2 })
	o.b.trustedNow(t)
	old("heard again")
	o.b.wait(t, "the key", func(r *recorder) bool { return slices.Contains(r.keys, "heard again") })
}

func TestWhatIsKeptOfABusThatNobodyUsesExpires(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	n := openNodeWith(t, s, s.Addr(), nil)
	n.trustedNow(t)
	n.announce(t, "1")
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		left, err := c.Client().PTTL(ctx, "{strata:bus}:recent").Result()
		if left < 48*time.Hour || left > 72*time.Hour {
			t.Errorf("the frames expire in %v", left)
		}
		if left := c.Client().PTTL(ctx, "{strata:bus}:log").Val(); left > 0 {
			t.Errorf("the log expires in %v", left)
		}
		return err
	})
}

// What one announcement of one key costs the server, command by command.
func TestAnAnnouncementIsOneScriptOfSoManyCommands(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	n := openNodeWith(t, s, s.Addr(), &redisbus.Options{Options: invalidation.Options{Heartbeat: time.Hour}})
	n.announce(t, "first")
	calls := func() map[string]int {
		counts := map[string]int{}
		client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
			info, err := c.Client().Info(ctx, "commandstats").Result()
			for line := range strings.Lines(info) {
				name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
				var n int
				if _, err := fmt.Sscanf(rest, "%d", &n); err == nil {
					counts[name] = n
				}
			}
			return err
		})
		return counts
	}
	before := calls()
	const times = 10
	for i := range times {
		n.announce(t, fmt.Sprint(i))
	}
	after := calls()
	want := map[string]int{"evalsha": 1, "hget": 2, "info": 2, "hincrby": 1, "llen": 1, "rpush": 1, "publish": 1, "hset": 1, "pexpire": 1}
	for name, per := range want {
		if got := after[name] - before[name]; got < per*times || got > per*times+3 && name != "info" { // info also counts itself
			t.Errorf("%d announcements are %d %s, want %d", times, got, name, per*times)
		}
	}
	for name := range after {
		if more := after[name] - before[name]; want[name] == 0 && more >= times {
			t.Errorf("%d announcements are %d %s", times, more, name)
		}
	}
}
