package redis_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

// A topology is Redis as somebody runs it.
type topology struct {
	name    string
	url     string
	options redis.Options    // what a store on it needs
	data    []*server.Server // what holds records
	all     []*server.Server // and what only watches
	settle  func(context.Context) error
}

// open is for a store of that timeout, directly.
func (tp topology) open(timeout time.Duration) func(t *testing.T) *backend.Store {
	o := tp.options
	o.Timeout = timeout
	return opener(tp.url, o)
}

// through is for a store behind the network, with the changes.
func (tp topology) through(n *wire.Network, change func(*redis.Options)) func(t *testing.T) *backend.Store {
	o := tp.options
	o.Timeout, o.Dialer = depthTimeout, behind(n, addrs(tp.all))
	change(&o)
	return opener(tp.url, o)
}

// behind dials the proxy of a server when the server is asked for: the servers of a topology tell clients their own
// addresses.
func behind(n *wire.Network, servers []string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		i := slices.Index(servers, addr)
		if i < 0 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no server of this topology is at " + addr)}
		}
		return (&net.Dialer{}).DialContext(ctx, network, n.Addrs()[i])
	}
}

func opener(url string, o redis.Options) func(t *testing.T) *backend.Store {
	return func(t *testing.T) *backend.Store {
		t.Helper()
		s, err := redis.Open(t.Context(), url, &o)
		if err != nil {
			t.Fatal(err)
		}
		return s // the suite closes it
	}
}

func (tp topology) harness(timeout time.Duration) backendtest.Harness {
	h := harness(tp.data[0], &redis.Options{Timeout: timeout})
	h.Open, h.Native = tp.open(timeout), func() any { return new(goredis.UniversalClient) }
	return h
}

// withOutages adds the hooks that end, pause and wake all servers that hold data.
func (tp topology) withOutages(h backendtest.Harness) backendtest.Harness {
	each := func(do func(*server.Server) error) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			if err := together(tp.data, do); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.Stop, h.Pause, h.Resume = each((*server.Server).Kill), each((*server.Server).Pause), each((*server.Server).Resume)
	h.Restart = tp.start
	return h
}

// start starts all servers that hold data again, and waits until they answer as one.
func (tp topology) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	err := together(tp.data, func(s *server.Server) error { return s.Restart(ctx) })
	if err == nil && tp.settle != nil {
		err = tp.settle(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func together(servers []*server.Server, do func(*server.Server) error) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { errs[i] = do(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func addrs(servers []*server.Server) []string {
	var list []string
	for _, s := range servers {
		list = append(list, s.Addr())
	}
	return list
}

// steady is for how long a node may be silent before it is replaced, where no failover is wanted: a test pauses all nodes.
const steady = 30 * time.Second

func sentinelOf(g *server.SentinelGroup) topology {
	return topology{
		name: "redis-sentinel", url: g.URL(), data: g.Nodes(), all: append(g.Nodes(), g.Sentinels()...), settle: g.AwaitReady,
	}
}

func clusterOf(c *server.Cluster) topology {
	return topology{name: "redis-cluster", url: c.URL(), data: c.Nodes(), all: c.Nodes(), settle: c.AwaitOK}
}

func one(name string, s *server.Server, o redis.Options) topology {
	return topology{name: name, url: s.URL(), options: o, data: []*server.Server{s}, all: []*server.Server{s}}
}

// rights is the least that a Store needs, as docs/redis.md lists it.
const rights = "+get +mget +set +del +time +evalsha +eval +incrby +pexpire +scan +ping +info +client|setname"

// user may do what a Store needs and nothing else.
var user = server.RedisUser{Name: "strata", Password: "pa55word", Rules: "~* " + rights}

// reader may not run scripts, and so not write.
var reader = server.RedisUser{Name: "reader", Password: "pa55word", Rules: "~* " + strings.NewReplacer("+eval ", "", "+evalsha ", "").Replace(rights)}

// secured is a server that wants a client's certificate and a user of few rights.
func secured(t *testing.T, persist bool) (topology, *server.RedisTLS) {
	t.Helper()
	certs := certificates(t, nil)
	certs.Mutual = true
	s := servertest.Redis(t, &server.RedisOptions{TLS: certs, Password: "root", Users: []server.RedisUser{user, reader}, Persist: persist})
	tp := one("redis-mtls-acl", s, redis.Options{
		Username: user.Name, Password: user.Password, TLS: certs.Authority.ClientConfig(certs.Leaf),
	})
	return tp, certs
}

func certificates(t *testing.T, o *testcert.LeafOptions) *server.RedisTLS {
	t.Helper()
	ca, err := testcert.New(t.TempDir(), "test authority")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue("redis", o)
	if err != nil {
		t.Fatal(err)
	}
	return &server.RedisTLS{Authority: ca, Leaf: leaf}
}

func TestConformanceOnEachTopology(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) topology{
		"sentinel": func(t *testing.T) topology { return sentinelOf(servertest.SharedSentinel(t)) },
		"cluster":  func(t *testing.T) topology { return clusterOf(servertest.SharedRedisCluster(t)) },
		"mutual TLS, a user of few rights, RESP3": func(t *testing.T) topology {
			tp, _ := secured(t, false)
			tp.options.Protocol = 3
			return tp
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tp := start(t)
			backendtest.Run(t, func(t *testing.T) backendtest.Harness { return tp.harness(patient().Timeout) })
		})
	}
}

func ownSentinel(t *testing.T) topology {
	t.Helper()
	return sentinelOf(servertest.Sentinel(t, &server.SentinelOptions{DownAfter: steady, Node: server.RedisOptions{Persist: true}}))
}

func ownCluster(t *testing.T) topology {
	t.Helper()
	return clusterOf(servertest.RedisCluster(t, &server.ClusterOptions{NodeTimeout: steady, Node: server.RedisOptions{Persist: true}}))
}

func TestOutagesOfEachTopology(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) topology{"sentinel": ownSentinel, "cluster": ownCluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backendtest.RunOutage(t, func(t *testing.T) backendtest.Harness {
				tp := start(t)
				return tp.withOutages(tp.harness(depthTimeout))
			})
		})
	}
}

// depth is the harness of the suite in depth for a topology.
func (tp topology) depth(t *testing.T, connections int) backendtest.Depth {
	t.Helper()
	n := front(t, addrs(tp.all)...)
	h := tp.harness(depthTimeout)
	h.Open = tp.through(n, func(*redis.Options) {})
	return backendtest.Depth{
		Harness:     h,
		Topology:    tp.name,
		Servers:     addrs(tp.all),
		Network:     n,
		OpenSmall:   tp.through(n, func(o *redis.Options) { o.PoolSize, o.NoBatching = 4, true }),
		OpenPatient: tp.through(n, func(o *redis.Options) { o.Timeout = patient().Timeout }),
		Connections: connections,
		Restarts: []backendtest.Restart{{Name: "with-data", Keeps: true, Do: func(t *testing.T) {
			if err := together(tp.data, (*server.Server).Kill); err != nil {
				t.Fatal(err)
			}
			tp.start(t)
		}}},
	}
}

// Not parallel, these: their subject is the whole process.

func TestDepthOfSentinel(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
		d := ownSentinel(t).depth(t, 4+3)
		d.Lies = lies
		return d
	})
}

func TestDepthOfACluster(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
		d := ownCluster(t).depth(t, 6*4)
		// That lie is about records alone: a write elsewhere than where it broke connections is answered, and truly.
		d.Lies = slices.DeleteFunc(slices.Clone(lies), func(l backendtest.Lie) bool { return l.Name == "record-cut-short" })
		return d
	})
}

func TestDepthOfMutualTLSAndAUserOfFewRights(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
		tp, certs := secured(t, true)
		d := tp.depth(t, 4)
		d.Rejections = rejections(t, tp, certs)
		return d
	})
}
