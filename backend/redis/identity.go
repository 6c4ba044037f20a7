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
	known map[string]string // identities by name; "" where there was a connection and nobody wanted to know
}

// add registers a hook and tells it of the servers to which there are connections.
func (i *identity) add(hook func(server, identity string)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hooks = append(i.hooks, hook)
	for server, id := range i.known {
		if id == "" {
			id = unknown()
		}
		hook(server, id)
	}
}

// unknown stands for a server that will not say, or was not asked: it may be another one each time.
func unknown() string { return "unknown-" + rand.Text() }

// met notes a server, and returns the hooks to tell.
func (i *identity) met(server, id string) []func(server, identity string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known == nil {
		i.known = map[string]string{}
	}
	if id != "" || len(i.hooks) == 0 {
		i.known[server] = id
	}
	return slices.Clone(i.hooks)
}

// connected asks a new connection for the server's run id, another one after each start, and replication id, another one
// after each failover that may have lost data. It costs a round trip, and nothing where nobody wants to know.
func (i *identity) connected(ctx context.Context, server string, c *goredis.Conn) error {
	server = i.name(server)
	if len(i.met(server, "")) == 0 {
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
		runID = unknown() // INFO may be forbidden to this user
	}
	for _, hook := range i.met(server, runID+"/"+replicationID) {
		hook(server, runID+"/"+replicationID)
	}
	return nil
}
