package redisconn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// askSentinels is how often sentinels are asked while nothing fails: a client that can still talk to a primary that was
// replaced behind its back learns of it by nothing else.
const askSentinels = time.Second

// watched is the topology of one primary that sentinels watch. They are asked on connections of their own, all at once. Of
// the answers of a majority, or of all that can be had, the one of the highest configuration epoch counts.
type watched struct {
	target    *target
	nodes     *nodes
	sentinels []*redis.SentinelClient
	refresh   *refresher
	asking    sync.WaitGroup // questions under way, those left behind included
	view      atomic.Pointer[watchedView]
}

type watchedView struct {
	primary  *Node
	replicas []*Node
}

func newWatched(t *target) (*watched, *nodes) {
	w := &watched{target: t}
	w.nodes = newNodes(t, func() { w.refresh.soon() })
	for _, addr := range t.hosts {
		o := t.clientOptions(addr)
		o.DB, o.ClientName, o.CredentialsProviderContext = 0, "", nil
		o.Username, o.Password = t.opts.SentinelUsername, t.opts.SentinelPassword
		o.PoolSize, o.MinIdleConns = 2, 0
		w.sentinels = append(w.sentinels, redis.NewSentinelClient(o))
	}
	w.refresh = newRefresher(w.ask, askSentinels, t.opts.Timeout*3/4)
	return w, w.nodes
}

func (w *watched) known() bool                     { return w.view.Load() != nil }
func (w *watched) await(ctx context.Context) error { return w.refresh.await(ctx) }
func (w *watched) owner(int) *Node                 { return w.view.Load().primary }
func (w *watched) primaries() []*Node              { return []*Node{w.view.Load().primary} }

func (w *watched) reader(int) *Node {
	replicas := w.view.Load().replicas
	if len(replicas) == 0 {
		return nil
	}
	return replicas[rand.IntN(len(replicas))]
}

func (w *watched) close() {
	w.refresh.close()
	w.asking.Wait()
	for _, s := range w.sentinels {
		_ = s.Close() // nothing is under way
	}
}

// opinion is what a sentinel answers.
type opinion struct {
	primary  string
	epoch    uint64
	replicas []string
	err      error
}

// ask asks all sentinels.
func (w *watched) ask(ctx context.Context) error {
	opinions := make(chan opinion, len(w.sentinels))
	for i, s := range w.sentinels {
		w.asking.Go(func() { // ends with its commands, within the timeout; joined by close
			o := w.askOne(ctx, s)
			if o.err != nil {
				o.err = fmt.Errorf("sentinel %s: %w", w.target.hosts[i], o.err)
			}
			opinions <- o
		})
	}
	var best *opinion
	var failures []error
	for answers := 0; answers <= len(w.sentinels)/2 && answers+len(failures) < len(w.sentinels); {
		o := <-opinions
		if o.err != nil {
			failures = append(failures, o.err)
			continue
		}
		answers++
		if best == nil || o.epoch > best.epoch {
			best = &o
		}
	}
	if best == nil {
		return &lookupError{what: "the primary " + w.target.master, causes: failures}
	}
	return w.see(best)
}

func (w *watched) askOne(ctx context.Context, s *redis.SentinelClient) (o opinion) {
	var addr []string
	if addr, o.err = s.GetMasterAddrByName(ctx, w.target.master).Result(); o.err != nil {
		if errors.Is(o.err, redis.Nil) {
			o.err = fmt.Errorf("it watches no %q", w.target.master)
		}
		return o
	}
	if len(addr) != 2 {
		o.err = fmt.Errorf("its answer has %d parts", len(addr))
		return o
	}
	o.primary = net.JoinHostPort(addr[0], addr[1])
	about, err := s.Master(ctx, w.target.master).Result()
	if err != nil {
		o.err = err
		return o
	}
	o.epoch, _ = strconv.ParseUint(about["config-epoch"], 10, 64) // without one it is the oldest
	if !w.target.opts.ReplicaReads {
		return o
	}
	replicas, err := s.Replicas(ctx, w.target.master).Result()
	if err != nil {
		o.err = err
		return o
	}
	for _, r := range replicas {
		if !strings.Contains(r["flags"], "down") && !strings.Contains(r["flags"], "disconnected") && r["master-link-status"] == "ok" {
			o.replicas = append(o.replicas, net.JoinHostPort(r["ip"], r["port"]))
		}
	}
	return o
}

// see takes an answer for true.
func (w *watched) see(o *opinion) error {
	names := map[string]bool{nodeName(o.primary, primary): true}
	node, err := w.nodes.get(o.primary, primary)
	if err != nil {
		return err
	}
	view := &watchedView{primary: node}
	for _, addr := range o.replicas {
		names[nodeName(addr, plain)] = true
		replica, err := w.nodes.get(addr, plain)
		if err != nil {
			return err
		}
		view.replicas = append(view.replicas, replica)
	}
	w.view.Store(view)
	w.nodes.keep(names)
	return nil
}
