package redis

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// scanCount is how many keys the server looks at in one step of a scan.
const scanCount = 500

// Count adds in one step that renews the lifetime too. No addition is sent twice: a server that lacks the script says so
// without having added.
func (d *store) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	args := []any{strconv.FormatInt(delta, 10), milliseconds(ttl)}
	return call(ctx, d, "count", func(ctx context.Context) (int64, error) {
		cmd := countScript.command(ctx, false, key, args)
		if err := d.client.Process(ctx, cmd); isNoScript(err) {
			cmd = countScript.command(ctx, true, key, args)
			_ = d.client.Process(ctx, cmd) // the command has the error
		}
		return cmd.Int64()
	})
}

// Scan walks all keys of the database, in steps of some hundred, and yields the strings among them that match.
func (d *store) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	type page struct {
		keys []string
		next uint64
	}
	match := glob.Replace(prefix) + "*"
	for cursor := uint64(0); ; {
		p, err := call(ctx, d, "scan", func(ctx context.Context) (p page, err error) {
			p.keys, p.next, err = d.client.ScanType(ctx, cursor, match, scanCount, "string").Result()
			return p, err
		})
		if err != nil {
			return err
		}
		if len(p.keys) > 0 && !yield(p.keys) || p.next == 0 {
			return nil
		}
		cursor = p.next
	}
}

// glob makes a prefix match nothing but itself.
var glob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// Stats returns what INFO says.
func (d *store) Stats(ctx context.Context) (map[string]map[string]string, error) {
	text, err := call(ctx, d, "stats", func(ctx context.Context) (string, error) { return d.client.Info(ctx).Result() })
	if err != nil {
		return nil, err
	}
	return map[string]map[string]string{d.conn.Server(): parseInfo(text)}, nil
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

// OnServer registers a hook. Connections that exist already are not reported.
func (d *store) OnServer(hook func(server, identity string)) { d.identity.add(hook) }
