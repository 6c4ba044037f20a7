package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SentinelMaster is the name under which the Sentinels of a SentinelGroup know their primary.
const SentinelMaster = "strata"

// SentinelOptions configures a Redis primary with replicas and the Sentinels that watch over them. The zero value, and
// nil, are one replica and three Sentinels.
type SentinelOptions struct {
	// Replicas is how many replicas the primary has at first. Default 1.
	Replicas int

	// Sentinels is how many Sentinels there are; most of them must agree for a failover. Default 3.
	Sentinels int

	// DownAfter is for how long the primary must be silent to be replaced, in whole milliseconds. Default 1 s.
	DownAfter time.Duration

	// Password is what clients must authenticate with at the Sentinels; that of the data nodes is Node.Password. It is
	// not part of the URL. Default "": none.
	Password string

	// Node configures each data node; Port must be zero. The Sentinels share its TLS.
	Node RedisOptions
}

// A SentinelGroup is a primary, its replicas and their Sentinels, running or not. Safe for concurrent use.
//
// The Sentinels exchange what they know several times a second, where a deployment does every 2 to 10 seconds, so that a
// failover takes little more than DownAfter, and a node that comes back is made a replica within seconds.
type SentinelGroup struct {
	opts      SentinelOptions
	nodes     []*Server
	sentinels []*Server
}

// Sentinel starts a primary, its replicas and their Sentinels, and waits until the replicas follow and all Sentinels know
// everyone.
func Sentinel(ctx context.Context, o *SentinelOptions) (*SentinelGroup, error) {
	if o == nil {
		o = &SentinelOptions{}
	}
	opts := *o
	if err := opts.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if _, err := redisSpec(&opts.Node); err != nil {
		return nil, err
	}
	g := &SentinelGroup{opts: opts}
	var err error
	g.nodes, err = startAll(ctx, 1+opts.Replicas, g.nodeSpecs)
	if err == nil {
		g.sentinels, err = startAll(ctx, opts.Sentinels, g.sentinelSpecs)
	}
	if err == nil {
		err = g.AwaitReady(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (o *SentinelOptions) complete() error {
	if o.Replicas < 0 || o.Sentinels < 0 || o.DownAfter < 0 || o.Node.Port != 0 {
		return errors.New("server: SentinelOptions: Replicas, Sentinels and DownAfter must not be negative, Node.Port must be zero")
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Sentinels == 0 {
		o.Sentinels = 3
	}
	if o.DownAfter == 0 {
		o.DownAfter = time.Second
	}
	return nil
}

// URL is what backend.Open takes: redis-sentinel://host:port,host:port/strata, or rediss-sentinel:// for TLS.
func (g *SentinelGroup) URL() string {
	return redisURL("-sentinel", "/"+SentinelMaster, g.opts.Node.Password, g.opts.Node.TLS != nil, addrs(g.sentinels)...)
}

// Nodes are the data nodes, the first primary first.
func (g *SentinelGroup) Nodes() []*Server { return append([]*Server(nil), g.nodes...) }

// Sentinels are the Sentinels.
func (g *SentinelGroup) Sentinels() []*Server { return append([]*Server(nil), g.sentinels...) }

// Close ends everything. It may be called more than once.
func (g *SentinelGroup) Close() error {
	return closeAll(append(g.Sentinels(), g.nodes...))
}

// Primary is the node that most of all Sentinels hold for the primary, and that says so itself.
func (g *SentinelGroup) Primary(ctx context.Context) (*Server, error) {
	votes := map[string]int{}
	var problems []error
	for _, s := range running(g.sentinels) {
		at, err := asTexts(g.ask(ctx, s, "get-master-addr-by-name", SentinelMaster))
		if err != nil || len(at) != 2 {
			problems = append(problems, fmt.Errorf("sentinel at %s: %v: %w", s.Addr(), at, err))
			continue
		}
		votes[net.JoinHostPort(at[0], at[1])]++
	}
	for addr, n := range votes {
		if n <= len(g.sentinels)/2 {
			continue
		}
		node := byAddr(g.nodes, addr)
		if node == nil {
			return nil, fmt.Errorf("server: the Sentinels name an unknown primary, %s", addr)
		}
		info, err := g.opts.Node.admin().info(ctx, addr, "replication")
		if err != nil || info["role"] != "master" {
			return nil, fmt.Errorf("server: the primary at %s says it is %q: %w", addr, info["role"], err)
		}
		return node, nil
	}
	return nil, fmt.Errorf("server: the Sentinels do not agree on a primary: %v: %w", votes, errors.Join(problems...))
}

// AwaitFailover waits until there is another primary than old, and returns it.
func (g *SentinelGroup) AwaitFailover(ctx context.Context, old *Server) (*Server, error) {
	var primary *Server
	err := poll(ctx, "await failover", func(ctx context.Context) (err error) {
		if primary, err = g.Primary(ctx); err == nil && primary == old {
			err = fmt.Errorf("%s still is the primary", old.Addr())
		}
		return err
	})
	return primary, err
}

// AwaitReady waits until every running node but the primary is a replica of it and up to date, and every running Sentinel
// knows them and its own kind.
func (g *SentinelGroup) AwaitReady(ctx context.Context) error {
	return poll(ctx, "await sentinels", func(ctx context.Context) error {
		primary, err := g.Primary(ctx)
		if err != nil {
			return err
		}
		_, port, err := net.SplitHostPort(primary.Addr())
		if err != nil {
			return err
		}
		nodes, sentinels := running(g.nodes), running(g.sentinels)
		for _, n := range nodes {
			if n == primary {
				continue
			}
			info, err := g.opts.Node.admin().info(ctx, n.Addr(), "replication")
			if err != nil {
				return err
			}
			if info["role"] != "slave" || info["master_port"] != port || info["master_link_status"] != "up" {
				return fmt.Errorf("%s is %q of port %s, link %q", n.Addr(), info["role"], info["master_port"], info["master_link_status"])
			}
		}
		for _, s := range sentinels {
			if err := g.knows(ctx, s, len(nodes)-1, len(sentinels)-1); err != nil {
				return fmt.Errorf("sentinel at %s: %w", s.Addr(), err)
			}
		}
		return nil
	})
}

// knows is nil when that Sentinel sees at least so many healthy replicas and other Sentinels.
func (g *SentinelGroup) knows(ctx context.Context, s *Server, replicas, others int) error {
	for what, want := range map[string]int{"replicas": replicas, "sentinels": others} {
		answer, err := g.ask(ctx, s, what, SentinelMaster)
		if err != nil {
			return err
		}
		list, ok := answer.([]any)
		if !ok {
			return fmt.Errorf("%s: answer %v", what, answer)
		}
		healthy := 0
		for _, entry := range list {
			fields, err := asTexts(entry, nil)
			if err != nil {
				return err
			}
			if flags := field(fields, "flags"); !strings.Contains(flags, "down") && !strings.Contains(flags, "disconnected") &&
				(what != "replicas" || field(fields, "master-link-status") == "ok") {
				healthy++
			}
		}
		if healthy < want {
			return fmt.Errorf("sees %d healthy %s, not %d", healthy, what, want)
		}
	}
	return nil
}

// field is the value of a name in a flat list of names and values.
func field(list []string, name string) string {
	for i := 0; i+1 < len(list); i += 2 {
		if list[i] == name {
			return list[i+1]
		}
	}
	return ""
}

func (g *SentinelGroup) ask(ctx context.Context, s *Server, args ...string) (any, error) {
	return g.admin().ask(ctx, s.Addr(), append([]string{"SENTINEL"}, args...)...)
}

func (g *SentinelGroup) admin() redisAdmin {
	return redisAdmin{password: g.opts.Password, tls: g.opts.Node.TLS}
}

// nodeSpecs are the data nodes: the first is the primary.
func (g *SentinelGroup) nodeSpecs(ports []int) []spec {
	specs := make([]spec, len(ports))
	for i, port := range ports {
		// Full copies at once and not after a wait for more replicas to come.
		further := []string{"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}
		if i > 0 {
			further = append(further, "--replicaof", "127.0.0.1", strconv.Itoa(ports[0]))
		}
		if g.opts.Node.Password != "" {
			further = append(further, "--masterauth", g.opts.Node.Password)
		}
		opts := g.opts.Node
		opts.Port = port
		specs[i], _ = redisSpec(&opts, further...) // the same options passed in Sentinel
	}
	return specs
}

// sentinelSpecs are the Sentinels. Each is told of all others and of the replicas, which spares it the search.
func (g *SentinelGroup) sentinelSpecs(ports []int) []spec {
	ids := make([]string, len(ports))
	for i := range ids {
		ids[i] = redisID()
	}
	specs := make([]spec, len(ports))
	for i, port := range ports {
		opts := RedisOptions{Port: port, Password: g.opts.Password, TLS: g.opts.Node.TLS}
		sp, _ := redisSpec(&opts) // its parts passed in Sentinel
		sp.name, sp.keepDir = "redis-sentinel", true
		sp.command = func(dir string, port int) ([]string, error) {
			bin, err := binary("redis-server", "redis")
			if err != nil {
				return nil, err
			}
			// A Sentinel writes what it learns into its file, and reads it again after a restart.
			file := filepath.Join(dir, "sentinel.conf")
			if !exists(file) {
				if err := os.WriteFile(file, []byte(g.sentinelConfig(dir, ports, ids, i)), 0o600); err != nil {
					return nil, fmt.Errorf("server: sentinel configuration: %w", err)
				}
			}
			return []string{bin, file, "--sentinel"}, nil
		}
		base := sp.ready
		sp.ready = func(ctx context.Context, addr string, p *process) error {
			if err := base(ctx, addr, p); err != nil {
				return err
			}
			_, err := g.admin().ask(ctx, addr, "SENTINEL", "DEBUG",
				"info-period", "500", "ping-period", "200", "publish-period", "500", "ask-period", "200",
				"min-link-reconnect-period", "500", "tilt-trigger", "20000")
			return err
		}
		specs[i] = sp
	}
	return specs
}

func (g *SentinelGroup) sentinelConfig(dir string, ports []int, ids []string, self int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("bind 127.0.0.1\ndir %s\nlogfile \"\"", dir)
	args := g.opts.Node.TLS.args(ports[self])
	for i := 0; i < len(args); i += 2 {
		line("%s %s", strings.TrimPrefix(args[i], "--"), args[i+1])
	}
	if g.opts.Password != "" {
		line("requirepass %s\nsentinel sentinel-pass %s", g.opts.Password, g.opts.Password)
	}
	at := func(s *Server) string {
		host, port, _ := net.SplitHostPort(s.Addr()) // we made it
		return host + " " + port
	}
	line("sentinel myid %s", ids[self])
	line("sentinel monitor %s %s %d", SentinelMaster, at(g.nodes[0]), len(ports)/2+1)
	line("sentinel down-after-milliseconds %s %d", SentinelMaster, g.opts.DownAfter.Milliseconds())
	line("sentinel failover-timeout %s %d", SentinelMaster, max(3*time.Second, 2*g.opts.DownAfter).Milliseconds())
	line("sentinel parallel-syncs %s %d", SentinelMaster, len(g.nodes))
	if g.opts.Node.Password != "" {
		line("sentinel auth-pass %s %s", SentinelMaster, g.opts.Node.Password)
	}
	for _, n := range g.nodes[1:] {
		line("sentinel known-replica %s %s", SentinelMaster, at(n))
	}
	for i, id := range ids {
		if i != self {
			line("sentinel known-sentinel %s 127.0.0.1 %d %s", SentinelMaster, ports[i], id)
		}
	}
	return b.String()
}

// redisID is an identity as Redis nodes and Sentinels give themselves.
func redisID() string {
	var id [20]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
