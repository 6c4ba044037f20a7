package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Slots is how many hash slots a Redis Cluster has.
const Slots = 16384

// ClusterOptions configures a Redis Cluster. The zero value, and nil, are three primaries with a replica each.
type ClusterOptions struct {
	// Primaries is how many primaries share the slots at first. Default 3, which is the least that elect another.
	Primaries int

	// Replicas is how many replicas each primary has at first. Default 1.
	Replicas int

	// NodeTimeout is for how long a node must be silent to be replaced, in whole milliseconds. Default 2 s.
	NodeTimeout time.Duration

	// Node configures each node; Port must be zero.
	Node RedisOptions
}

// A Cluster is a Redis Cluster, its nodes running or not. Safe for concurrent use. A node that is started again keeps its
// identity and finds back.
type Cluster struct {
	opts  ClusterOptions
	nodes []*Server
}

// RedisCluster starts a cluster whose nodes know each other from the first moment, and waits until it takes commands at
// every node. That takes two seconds at least: a primary that starts does not trust its view of the cluster before.
func RedisCluster(ctx context.Context, o *ClusterOptions) (*Cluster, error) {
	if o == nil {
		o = &ClusterOptions{}
	}
	opts := *o
	if err := opts.complete(); err != nil {
		return nil, err
	}
	if _, err := redisSpec(&opts.Node); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	c := &Cluster{opts: opts}
	var err error
	// Each node has a second port for the others: by itself Redis takes one 10 000 above, which may be anybody's.
	c.nodes, err = startAll(ctx, 2*opts.size(), c.specs)
	if err == nil {
		err = c.AwaitOK(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (o *ClusterOptions) complete() error {
	if o.Primaries < 0 || o.Replicas < 0 || o.NodeTimeout < 0 || o.Node.Port != 0 {
		return errors.New("server: ClusterOptions: Primaries, Replicas and NodeTimeout must not be negative, Node.Port must be zero")
	}
	if o.Primaries == 0 {
		o.Primaries = 3
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.NodeTimeout == 0 {
		o.NodeTimeout = 2 * time.Second
	}
	return nil
}

func (o *ClusterOptions) size() int { return o.Primaries * (1 + o.Replicas) }

// URL is what backend.Open takes: redis-cluster://host:port,host:port…, or rediss-cluster:// for TLS.
func (c *Cluster) URL() string {
	return redisURL("-cluster", "", c.opts.Node.Password, c.opts.Node.TLS != nil, addrs(c.nodes)...)
}

// Nodes are all nodes, the first primaries first.
func (c *Cluster) Nodes() []*Server { return slices.Clone(c.nodes) }

// Close ends all nodes. It may be called more than once.
func (c *Cluster) Close() error { return closeAll(c.nodes) }

// Owner is the node that serves the slot, in the view of most running nodes.
func (c *Cluster) Owner(ctx context.Context, slot int) (*Server, error) {
	votes := map[*Server]int{}
	var problems []error
	nodes := running(c.nodes)
	for _, n := range nodes {
		view, err := c.view(ctx, n)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, m := range view {
			if m.owns(slot) {
				votes[byAddr(c.nodes, m.addr)]++
			}
		}
	}
	for n, count := range votes {
		if n != nil && count > len(nodes)/2 {
			return n, nil
		}
	}
	return nil, fmt.Errorf("server: the nodes do not agree on the owner of slot %d: %w", slot, errors.Join(problems...))
}

// AwaitFailover waits until a running node other than old serves the slot, and the cluster takes commands again.
func (c *Cluster) AwaitFailover(ctx context.Context, old *Server, slot int) (*Server, error) {
	var owner *Server
	err := poll(ctx, "await failover", func(ctx context.Context) (err error) {
		if owner, err = c.Owner(ctx, slot); err == nil && (owner == old || owner.Pid() == 0) {
			err = fmt.Errorf("%s still owns slot %d", owner.Addr(), slot)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return owner, c.AwaitOK(ctx)
}

// AwaitOK waits until every running node takes commands, all of them agree on who owns which slots, and the running
// replicas are up to date.
func (c *Cluster) AwaitOK(ctx context.Context) error {
	return poll(ctx, "await cluster", func(ctx context.Context) error {
		var first string
		for _, n := range running(c.nodes) {
			if err := c.sound(ctx, n); err != nil {
				return fmt.Errorf("node at %s: %w", n.Addr(), err)
			}
			view, err := c.view(ctx, n)
			if err != nil {
				return err
			}
			owners := fmt.Sprint(view)
			if first == "" {
				first = owners
			}
			if owners != first {
				return fmt.Errorf("node at %s: another view: %s, not %s", n.Addr(), owners, first)
			}
		}
		return nil
	})
}

// sound is nil when that node takes commands and, should it be a replica, is up to date.
func (c *Cluster) sound(ctx context.Context, n *Server) error {
	text, err := asText(c.admin().ask(ctx, n.Addr(), "CLUSTER", "INFO"))
	if err != nil {
		return err
	}
	if state := parseInfo(text); state["cluster_state"] != "ok" || state["cluster_slots_ok"] != strconv.Itoa(Slots) {
		return fmt.Errorf("state %q, %s slots", state["cluster_state"], state["cluster_slots_ok"])
	}
	info, err := c.admin().info(ctx, n.Addr(), "replication")
	if err != nil {
		return err
	}
	if info["role"] == "slave" && info["master_link_status"] != "up" {
		return errors.New("replica without a link to its primary")
	}
	return nil
}

// member is a primary with its slots, as CLUSTER NODES tells.
type member struct {
	id, addr string
	slots    []string // ranges: 0-5460, or single slots
}

func (m member) owns(slot int) bool {
	for _, r := range m.slots {
		from, to, ranged := strings.Cut(r, "-")
		if !ranged {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 == nil && err2 == nil && first <= slot && slot <= last {
			return true
		}
	}
	return false
}

// view is who owns which slots in the eyes of one node, by address.
func (c *Cluster) view(ctx context.Context, n *Server) ([]member, error) {
	text, err := asText(c.admin().ask(ctx, n.Addr(), "CLUSTER", "NODES"))
	if err != nil {
		return nil, err
	}
	var view []member
	for line := range strings.Lines(text) {
		// id host:port@busport flags primary ping pong epoch link slot…; [slot->-id] marks a migration
		f := strings.Fields(line)
		if len(f) < 9 {
			continue
		}
		addr, _, _ := strings.Cut(f[1], "@")
		m := member{id: f[0], addr: addr}
		for _, s := range f[8:] {
			if !strings.HasPrefix(s, "[") {
				m.slots = append(m.slots, s)
			}
		}
		view = append(view, m)
	}
	slices.SortFunc(view, func(a, b member) int { return strings.Compare(a.addr, b.addr) })
	return view, nil
}

func (c *Cluster) admin() redisAdmin { return c.opts.Node.admin() }

// specs are the nodes: primaries, then the replicas of the first, and so on. The second half of the ports is theirs among
// themselves. Each node finds the whole cluster in its file, as if it had been in it before.
func (c *Cluster) specs(ports []int) []spec {
	n := c.opts.size()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = redisID()
	}
	specs := make([]spec, n)
	for i := range specs {
		opts := c.opts.Node
		opts.Port = ports[i]
		further := []string{
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-port", strconv.Itoa(ports[n+i]),
			"--cluster-node-timeout", strconv.FormatInt(c.opts.NodeTimeout.Milliseconds(), 10),
			"--cluster-replica-validity-factor", "0",
			"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
		}
		if opts.Password != "" {
			further = append(further, "--masterauth", opts.Password)
		}
		sp, _ := redisSpec(&opts, further...) // the same options passed in RedisCluster
		sp.keepDir = true
		base := sp.command
		sp.command = func(dir string, port int) ([]string, error) {
			file := filepath.Join(dir, "nodes.conf")
			if !exists(file) {
				if err := os.WriteFile(file, []byte(c.config(ports, ids, i)), 0o600); err != nil {
					return nil, fmt.Errorf("server: cluster configuration: %w", err)
				}
			}
			return base(dir, port)
		}
		specs[i] = sp
	}
	return specs
}

// config is the nodes.conf of one node.
func (c *Cluster) config(ports []int, ids []string, self int) string {
	var b strings.Builder
	for i, id := range ids {
		flags, of, slots := "master", "-", ""
		epoch := i + 1
		if i < c.opts.Primaries {
			slots = fmt.Sprintf(" %d-%d", i*Slots/c.opts.Primaries, (i+1)*Slots/c.opts.Primaries-1)
		} else {
			primary := (i - c.opts.Primaries) / c.opts.Replicas
			flags, of, epoch = "slave", ids[primary], primary+1
		}
		if i == self {
			flags = "myself," + flags
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))
		fmt.Fprintf(&b, "%s %s@%d %s %s 0 0 %d connected%s\n", id, addr, ports[len(ids)+i], flags, of, epoch, slots)
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", c.opts.Primaries)
	return b.String()
}
