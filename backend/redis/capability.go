package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
)

// scanCount is how many keys the server looks at in one step of a scan.
const scanCount = 500

// Count adds in one step that renews the lifetime too. No addition is sent twice: a server that lacks the script says so
// without having added.
func (d *store) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	n, err := d.conn.Primary(ctx, key)
	if err != nil {
		return 0, d.explain("count", d.conn.Server(), err)
	}
	args := []any{strconv.FormatInt(delta, 10), milliseconds(ttl)}
	sum, err := redisconn.DoAt(ctx, d.conn, n, func(ctx context.Context) (int64, error) {
		cmd := countScript.command(ctx, false, key, args)
		d.conn.Exec(ctx, n, []goredis.Cmder{cmd})
		if isNoScript(cmd.Err()) {
			cmd = countScript.command(ctx, true, key, args)
			d.conn.Exec(ctx, n, []goredis.Cmder{cmd})
		}
		return cmd.Int64()
	})
	return sum, d.explain("count", n.Server(), err)
}

// Scan walks all keys of the database on every primary, in steps of some hundred, and yields the strings among them that
// match.
func (d *store) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	primaries, err := d.conn.Primaries(ctx)
	if err != nil {
		return d.explain("scan", d.conn.Server(), err)
	}
	match := glob.Replace(prefix) + "*"
	for _, n := range primaries {
		more, err := d.scan(ctx, n, match, yield)
		if err != nil {
			return d.explain("scan", n.Server(), err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// scan walks the keys of one server, and reports whether more are wanted.
func (d *store) scan(ctx context.Context, n *redisconn.Node, match string, yield func(keys []string) bool) (more bool, err error) {
	type page struct {
		keys []string
		next uint64
	}
	for cursor := uint64(0); ; {
		p, err := redisconn.DoAt(ctx, d.conn, n, func(ctx context.Context) (p page, err error) {
			p.keys, p.next, err = n.Client().ScanType(ctx, cursor, match, scanCount, "string").Result()
			return p, err
		})
		if err != nil {
			return false, err
		}
		if len(p.keys) > 0 && !yield(p.keys) {
			return false, nil
		}
		if p.next == 0 {
			return true, nil
		}
		cursor = p.next
	}
}

// glob makes a prefix match nothing but itself.
var glob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// Stats returns what INFO says, of every primary.
func (d *store) Stats(ctx context.Context) (map[string]map[string]string, error) {
	primaries, err := d.conn.Primaries(ctx)
	if err != nil {
		return nil, d.explain("stats", d.conn.Server(), err)
	}
	stats := make(map[string]map[string]string, len(primaries))
	for _, n := range primaries {
		text, err := redisconn.DoAt(ctx, d.conn, n, func(ctx context.Context) (string, error) { return n.Client().Info(ctx).Result() })
		if err != nil {
			return nil, d.explain("stats", n.Server(), err)
		}
		stats[n.Server()] = parseInfo(text)
	}
	return stats, nil
}

// parseInfo reads lines of name:value.
func parseInfo(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(name, "#") {
			fields[name] = value
		}
	}
	return fields
}

// MayRewind implements driver.Rewinder: a server may come back with an older snapshot, or fail over to a replica that was behind.
func (d *store) MayRewind() bool { return true }

// OnServer registers a hook, which also hears of the servers to which connections exist.
func (d *store) OnServer(hook func(server, identity string)) { d.identity.add(hook) }
