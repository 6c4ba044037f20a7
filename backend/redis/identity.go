package redis

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// An identity tells hooks which server a new connection leads to.
type identity struct {
	// mu guards hooks, which are called outside of it.
	mu    sync.RWMutex
	hooks []func(server, identity string)
}

func (i *identity) add(hook func(server, identity string)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hooks = append(i.hooks, hook)
}

// connected asks a new connection for the server's run id, another one after each start, and replication id, another one
// after each failover that may have lost data. It costs a round trip, and nothing where nobody wants to know.
func (i *identity) connected(ctx context.Context, server string, c *goredis.Conn) error {
	i.mu.RLock()
	hooks := slices.Clone(i.hooks)
	i.mu.RUnlock()
	if len(hooks) == 0 {
		return nil
	}
	var about, replication *goredis.StringCmd
	_, err := c.Pipelined(ctx, func(p goredis.Pipeliner) error {
		about, replication = p.Info(ctx, "server"), p.Info(ctx, "replication")
		return nil
	})
	if err != nil && !isReply(err) {
		return err
	}
	runID := parseInfo(about.Val())["run_id"]
	replicationID := parseInfo(replication.Val())["master_replid"]
	if runID == "" || replicationID == "" {
		// The server will not say (INFO may be forbidden to this user): it may be another one each time.
		runID = "unknown-" + rand.Text()
	}
	for _, hook := range hooks {
		hook(server, runID+"/"+replicationID)
	}
	return nil
}
