package redisconn

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// maxRedirects is how often a command is sent on to another member of a cluster.
const maxRedirects = 5

// A Group is the keys that one server is asked for.
type Group struct {
	Node *Node // nil if Err is set
	Err  error // why nobody can be asked
	At   []int // the indexes of its keys; nil for all keys
}

// Groups tells which primaries own the keys. Of a single server, or one that sentinels watch, it is one group of all keys.
// The error is that of not knowing any server, and such that nothing was sent.
func (c *Conn) Groups(ctx context.Context, keys []string) ([]Group, error) {
	groups, err := c.groups(ctx, keys, topology.owner)
	for i := range groups {
		if groups[i].Node == nil {
			groups[i].Err = c.noOwner()
		}
	}
	return groups, err
}

// ReplicaGroups is Groups of replicas, which may be behind. Keys without a replica, as all are unless Options.ReplicaReads
// is set, are in a group whose Node and Err are nil.
func (c *Conn) ReplicaGroups(ctx context.Context, keys []string) ([]Group, error) {
	return c.groups(ctx, keys, topology.reader)
}

func (c *Conn) groups(ctx context.Context, keys []string, of func(topology, int) *Node) ([]Group, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	if c.target.kind != cluster {
		return []Group{{Node: of(c.topology, 0)}}, nil
	}
	var groups []Group
	at := make(map[*Node]int, 4)
	picked := make(map[int]*Node, len(keys)) // a slot has one reader within a call
	for i, key := range keys {
		s := Slot(key)
		n, ok := picked[s]
		if !ok {
			n = of(c.topology, s)
			picked[s] = n
		}
		g, ok := at[n]
		if !ok {
			g = len(groups)
			at[n] = g
			groups = append(groups, Group{Node: n})
		}
		groups[g].At = append(groups[g].At, i)
	}
	return groups, nil
}

// Primary returns the server that owns a key. It may be another one a moment later.
func (c *Conn) Primary(ctx context.Context, key string) (*Node, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	n := c.topology.owner(Slot(key))
	if n == nil {
		return nil, c.noOwner()
	}
	return n, nil
}

// noOwner returns the error of a slot without a server, and has the cluster asked anew: as nothing is sent, nothing fails.
func (c *Conn) noOwner() error {
	c.nodes.failed() // only a cluster has slots without a server
	return &unavailableError{server: c.Server(), cause: errNoOwner}
}

// Primaries returns all servers that own keys.
func (c *Conn) Primaries(ctx context.Context) ([]*Node, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	return c.topology.primaries(), nil
}

// ready waits until some servers are known, at most Timeout.
func (c *Conn) ready(ctx context.Context) error {
	if c.topology.known() {
		return nil
	}
	err := c.Call(ctx, c.topology.await)
	if err == nil || c.topology.known() {
		return nil
	}
	return c.Explain(c.Server(), err)
}

// Exec sends commands to a node in one go: one as it is, several as a pipeline. Call it within DoAt. Each command then has
// its answer or its error; none is sent twice, unless the first server said that it did nothing with it: a member of a
// cluster that does not own the key, or one that refused the credentials of a new connection.
func (c *Conn) Exec(ctx context.Context, n *Node, cmds []redis.Cmder) {
	n.send(ctx, cmds, false)
	if c.target.kind != cluster {
		return
	}
	for range maxRedirects {
		onward := redirected(cmds)
		if len(onward) == 0 {
			return
		}
		var sending sync.WaitGroup
		for to, moved := range onward {
			sending.Go(func() { c.sendOn(ctx, n, to, moved) }) // ends with the commands, within ctx
		}
		sending.Wait()
	}
}

// elsewhere is where a redirection points.
type elsewhere struct {
	addr   string
	asking bool
}

// redirected returns the commands that a server redirected.
func redirected(cmds []redis.Cmder) map[elsewhere][]redis.Cmder {
	var onward map[elsewhere][]redis.Cmder
	for _, cmd := range cmds {
		to, ok := redirection(cmd.Err())
		if !ok {
			continue
		}
		if onward == nil {
			onward = map[elsewhere][]redis.Cmder{}
		}
		onward[to] = append(onward[to], cmd)
	}
	return onward
}

// redirection reads "MOVED 3999 host:port" and "ASK 3999 host:port".
func redirection(err error) (to elsewhere, ok bool) {
	if err == nil {
		return to, false
	}
	to.asking = HasPrefix(err, "ASK ")
	if !to.asking && !HasPrefix(err, "MOVED ") {
		return to, false
	}
	fields := strings.Fields(err.Error())
	to.addr = fields[len(fields)-1]
	return to, len(fields) == 3 && strings.Contains(to.addr, ":")
}

func (c *Conn) sendOn(ctx context.Context, from *Node, to elsewhere, cmds []redis.Cmder) {
	if !to.asking { // else the owner is still the same
		c.nodes.failed()
	}
	n, err := c.nodes.get(dialable(to.addr, from.addr), plain)
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
	if err == nil {
		n.send(ctx, cmds, to.asking)
	}
}
