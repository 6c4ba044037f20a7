package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// askCluster is how often a member is asked for the slots while nothing fails. Redirections are followed meanwhile.
	askCluster = 15 * time.Second

	// nextMember is after how long another member is asked too.
	nextMember = 100 * time.Millisecond
)

// members is the topology of a cluster.
type members struct {
	target  *target
	nodes   *nodes
	refresh *refresher
	asking  sync.WaitGroup // questions under way, those left behind included
	view    atomic.Pointer[membersView]
}

type membersView struct {
	ranges []slotRange // ordered, apart
	all    []*Node     // the primaries, by name
	addrs  []string    // of everybody
}

type slotRange struct {
	first, last int
	primary     *Node
	replicas    []*Node
}

func newMembers(t *target) (*members, *nodes) {
	m := &members{target: t}
	m.nodes = newNodes(t, func() { m.refresh.soon() })
	m.refresh = newRefresher(m.ask, askCluster, t.opts.Timeout*3/4)
	return m, m.nodes
}

func (m *members) known() bool                     { return m.view.Load() != nil }
func (m *members) await(ctx context.Context) error { return m.refresh.await(ctx) }
func (m *members) primaries() []*Node              { return m.view.Load().all }

func (m *members) owner(slot int) *Node {
	if r := m.view.Load().at(slot); r != nil {
		return r.primary
	}
	return nil
}

func (m *members) reader(slot int) *Node {
	r := m.view.Load().at(slot)
	if r == nil || len(r.replicas) == 0 {
		return nil
	}
	return r.replicas[rand.IntN(len(r.replicas))]
}

func (v *membersView) at(slot int) *slotRange {
	i := sort.Search(len(v.ranges), func(i int) bool { return v.ranges[i].last >= slot })
	if i < len(v.ranges) && v.ranges[i].first <= slot {
		return &v.ranges[i]
	}
	return nil
}

func (m *members) close() {
	m.refresh.close()
	m.asking.Wait()
}

// ask asks members in a random order, one after the other has failed or is slow, until one answers.
func (m *members) ask(ctx context.Context) error {
	addrs := slices.Clone(m.target.hosts)
	if v := m.view.Load(); v != nil {
		for _, addr := range v.addrs {
			if !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
		}
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })

	type answer struct {
		from  string
		slots []redis.ClusterSlot
		err   error
	}
	answers := make(chan answer, len(addrs))
	next := time.NewTimer(0)
	defer next.Stop()
	var failures []error
	for asked := 0; len(failures) < len(addrs); {
		select {
		case <-next.C:
		case a := <-answers:
			if a.err == nil {
				if a.err = m.see(a.from, a.slots); a.err == nil {
					return nil
				}
			}
			failures = append(failures, fmt.Errorf("%s: %w", a.from, a.err))
		case <-ctx.Done():
			failures = append(failures, fmt.Errorf("no member answers: %w", ctx.Err()))
			return m.lost(failures)
		}
		if asked < len(addrs) {
			addr := addrs[asked]
			asked++
			m.asking.Go(func() { // ends with its command, within the timeout; joined by close
				a := answer{from: addr}
				var n *Node
				if n, a.err = m.nodes.get(addr, plain); a.err == nil {
					// Not CLUSTER SHARDS, which Redis 6 lacks.
					cmd := redis.NewSliceCmd(ctx, "cluster", "slots")
					_ = n.client.Process(ctx, cmd) // the command has the error
					a.slots, a.err = slotsOf(cmd)
				}
				answers <- a
			})
			next.Reset(nextMember)
		}
	}
	return m.lost(failures)
}

func (m *members) lost(failures []error) error {
	return &lookupError{what: "the cluster's servers", causes: failures}
}

// see takes an answer for true.
func (m *members) see(from string, slots []redis.ClusterSlot) error {
	if len(slots) == 0 {
		return errors.New("CLUSTERDOWN it knows of no slots")
	}
	v := &membersView{}
	names := map[string]bool{}
	for _, addr := range m.target.hosts {
		names[nodeName(addr, plain)] = true
	}
	get := func(addr string, as role) (*Node, error) {
		addr = dialable(addr, from)
		names[nodeName(addr, as)] = true
		if !slices.Contains(v.addrs, addr) {
			v.addrs = append(v.addrs, addr)
		}
		return m.nodes.get(addr, as)
	}
	for _, s := range slots {
		r := slotRange{first: s.Start, last: s.End}
		for i, member := range s.Nodes {
			switch {
			case i == 0:
				n, err := get(member.Addr, plain)
				if err != nil {
					return err
				}
				r.primary = n
				if !slices.Contains(v.all, n) {
					v.all = append(v.all, n)
				}
			case m.target.opts.ReplicaReads:
				n, err := get(member.Addr, reader)
				if err != nil {
					return err
				}
				r.replicas = append(r.replicas, n)
			}
		}
		if r.primary != nil {
			v.ranges = append(v.ranges, r)
		}
	}
	slices.SortFunc(v.ranges, func(a, b slotRange) int { return cmp.Compare(a.first, b.first) })
	slices.SortFunc(v.all, func(a, b *Node) int { return strings.Compare(a.server, b.server) })
	m.view.Store(v)
	m.nodes.keep(names)
	return nil
}

// slotsOf reads the answer to CLUSTER SLOTS. The library's own command fails where a member names no host, as it does with
// "cluster-preferred-endpoint-type unknown-endpoint".
func slotsOf(cmd *redis.SliceCmd) ([]redis.ClusterSlot, error) {
	ranges, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	slots := make([]redis.ClusterSlot, len(ranges))
	for i := range ranges {
		parts, _ := ranges[i].([]any)
		if len(parts) < 2 {
			return nil, errNoSlots
		}
		first, ok1 := parts[0].(int64)
		last, ok2 := parts[1].(int64)
		if !ok1 || !ok2 {
			return nil, errNoSlots
		}
		slots[i].Start, slots[i].End = int(first), int(last)
		for _, part := range parts[2:] {
			member, _ := part.([]any)
			if len(member) < 2 {
				return nil, errNoSlots
			}
			host, _ := member[0].(string)
			addr := net.JoinHostPort(host, fmt.Sprint(member[1]))
			slots[i].Nodes = append(slots[i].Nodes, redis.ClusterNode{Addr: addr})
		}
	}
	return slots, nil
}

var errNoSlots = errors.New("what it answers are no slots")

// dialable completes the address of a member as another one tells it: without a host it is the host of who tells, and so
// with a port of 0.
func dialable(addr, from string) string {
	host, port := apart(addr)
	fromHost, fromPort := apart(from)
	if host == "" || host == "?" {
		host = fromHost
	}
	if port == "" || port == "0" {
		port = fromPort
	}
	return net.JoinHostPort(host, port)
}

// apart is net.SplitHostPort for servers that do not put IPv6 addresses into brackets.
func apart(addr string) (host, port string) {
	colon := strings.LastIndexByte(addr, ':')
	if colon < 0 {
		return addr, ""
	}
	return strings.Trim(addr[:colon], "[]"), addr[colon+1:]
}
