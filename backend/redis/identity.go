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
	name func(server string) string // what hooks know a server by

	// mu guards what follows. Hooks are called outside of it, or, the first time, within.
	mu    sync.Mutex
	hooks []func(server, identity string)
	known map[string]string // identities by name
}

// add registers a hook and tells it of the servers to which there were connections.
func (i *identity) add(hook func(server, identity string)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hooks = append(i.hooks, hook)
	for server, id := range i.known {
		hook(server, id)
	}
}

// met notes a server, and returns the hooks to tell.
func (i *identity) met(server, id string) []func(server, identity string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known == nil {
		i.known = map[string]string{}
	}
	i.known[server] = id
	return slices.Clone(i.hooks)
}

// connected asks a new connection for the server's run id, another one after each start, and replication id, another one
// after each failover that may have lost data. It costs a round trip. It asks also while there are no hooks: one that comes later
// must know which server the connections lead to.
func (i *identity) connected(ctx context.Context, server string, c *goredis.Conn) error {
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
		runID = "unknown-" + rand.Text() // INFO may be forbidden to this user: it may be another one each time
	}
	server, id := i.name(server), runID+"/"+replicationID
	for _, hook := range i.met(server, id) {
		hook(server, id)
	}
	return nil
}
