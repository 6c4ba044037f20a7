package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// Under write-through a key, written through any node and read Fresh through any other, is one register: there is an order of all
// reads and writes that agrees with the order in which they were made, and in which each read brings what was written last. That is
// more than a bound on staleness: no read goes back behind another.
func TestFreshReadsAndWritesAreLinearizable(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		hub, store := membus.NewHub(), memory.New(nil)
		t.Cleanup(func() { store.Close() }) // after the nodes
		r := startRegisters(t, "lin", func() (*backend.Store, *invalidation.Bus) { return store, membus.Bus(hub, nil) })
		linearizable(t, r.run(t))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		name, url := servertest.Key(t), servertest.SharedRedis(t).URL()
		r := startRegisters(t, name[len(name)-20:], func() (*backend.Store, *invalidation.Bus) {
			store := openStore(t, url)
			bus, err := redisbus.New(store, &redisbus.Options{Name: name})
			must(t, err)
			return store.Prefix(name), bus
		})
		linearizable(t, r.run(t))
	})
}

// A checker that finds nothing proves something only if it finds what is there: a plain read has a bound, and is not fresh.
func TestPlainReadsAreNotLinearizable(t *testing.T) {
	t.Parallel()
	hub, store := membus.NewHub(), memory.New(nil)
	t.Cleanup(func() { store.Close() }) // after the nodes
	r := startRegisters(t, "lin", func() (*backend.Store, *invalidation.Bus) { return store, membus.Bus(hub, nil) })
	r.write(t, 0, 0, "1")
	r.read(t, 1, 0)
	eventually(t, "node 1 has it locally", func() bool {
		l, err := r.nodes[1].Lookup(t.Context(), 0)
		return err == nil && l.Tier == tier.Local
	})
	hub.Pause() // nothing is heard any more
	r.write(t, 0, 0, "2")
	r.read(t, 1, 0)
	if porcupine.CheckOperations(register, r.history) {
		t.Errorf("a read of the old value, after a write was acknowledged, passes for linearizable: %+v", r.history)
	}
}

// A registerOp is a read, or a write of a value.
type registerOp struct {
	key   int
	value string
	write bool
}

// register is what a key has to look like: nothing, or a value.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range history {
			key := o.Input.(registerOp).key
			by[key] = append(by[key], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(registerOp); in.write {
			return true, in.value
		}
		return output == state, state
	},
	DescribeOperation: func(input, output any) string {
		in := input.(registerOp)
		if in.write {
			return fmt.Sprintf("write(%d, %q)", in.key, in.value)
		}
		return fmt.Sprintf("read(%d) = %q", in.key, output)
	},
}

func linearizable(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	switch got := porcupine.CheckOperationsTimeout(register, history, time.Minute); got {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Errorf("%d operations took too long to judge", len(history))
	default:
		t.Errorf("%d operations are not linearizable:", len(history))
		for _, o := range history {
			t.Logf("node %d [%d, %d] %s", o.ClientId, o.Call, o.Return, register.DescribeOperation(o.Input, o.Output))
		}
	}
}

// registers is a fleet under write-through, and its source. What is done with them becomes a history.
type registers struct {
	nodes []*tier.Cache[int, string]
	began time.Time

	mu      sync.Mutex // guards both below
	source  map[int]string
	history []porcupine.Operation
}

const registerNodes = 3

func startRegisters(t *testing.T, name string, open func() (*backend.Store, *invalidation.Bus)) *registers {
	t.Helper()
	r := &registers{began: time.Now(), source: map[int]string{}}
	for range registerNodes {
		store, bus := open()
		t.Cleanup(func() { bus.Close() })
		c, err := tier.New(name, &tier.Options[int, string]{
			Remote: store, Bus: bus, MaxStaleness: time.Minute, Policy: policy.WriteThrough[int, string](r), NegativeTTL: time.Minute,
		})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, bus.Ping(t.Context())) // it is heard: the nodes are trusted
		r.nodes = append(r.nodes, c)
	}
	return r
}

// pause is what the source needs, as databases do.
func (r *registers) pause(ctx context.Context) {
	timer := time.NewTimer(rand.N(2 * time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (r *registers) Load(ctx context.Context, k int) (string, error) {
	r.pause(ctx)
	r.mu.Lock()
	v := r.source[k]
	r.mu.Unlock()
	r.pause(ctx)
	if v == "" {
		return "", policy.ErrNotFound
	}
	return v, ctx.Err()
}

func (r *registers) Store(ctx context.Context, k int, v string) error {
	r.pause(ctx)
	r.mu.Lock()
	r.source[k] = v
	r.mu.Unlock()
	r.pause(ctx)
	return nil
}

func (r *registers) Delete(ctx context.Context, k int) error { return r.Store(ctx, k, "") }

func (r *registers) done(node int, in registerOp, out string, began time.Duration) {
	returned := time.Since(r.began)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{
		ClientId: node, Input: in, Output: out, Call: int64(began), Return: int64(returned),
	})
}

// write sets key, or deletes it where v is empty.
func (r *registers) write(t *testing.T, node, key int, v string) {
	began := time.Since(r.began)
	var err error
	if v == "" {
		err = r.nodes[node].Delete(context.Background(), key)
	} else {
		err = r.nodes[node].Set(context.Background(), key, v)
	}
	if err != nil {
		t.Errorf("node %d, write %d: %v", node, key, err)
	}
	r.done(node, registerOp{key: key, value: v, write: true}, "", began)
}

func (r *registers) read(t *testing.T, node, key int, options ...tier.Option) {
	began := time.Since(r.began)
	v, err := r.nodes[node].Get(context.Background(), key, options...)
	if err != nil && !errors.Is(err, tier.ErrNotFound) {
		t.Errorf("node %d, read %d: %v", node, key, err)
	}
	r.done(node, registerOp{key: key}, v, began)
}

// run lets two clients on each node read and write two keys at once.
func (r *registers) run(t *testing.T) []porcupine.Operation {
	t.Helper()
	var clients sync.WaitGroup
	for node := range registerNodes {
		for client := range 2 {
			clients.Go(func() {
				for i := range 80 {
					key := rand.IntN(2)
					switch n := rand.IntN(20); {
					case n < 4:
						r.write(t, node, key, strconv.Itoa((node*2+client)*1000+i+1))
					case n == 4:
						r.write(t, node, key, "")
					default:
						r.read(t, node, key, tier.Fresh())
					}
				}
			})
		}
	}
	clients.Wait()
	return r.history
}
