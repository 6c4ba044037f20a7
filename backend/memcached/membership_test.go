package memcached_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// members opens a Store whose pool is in the register. Its lease is long: a test that waits for it says so.
func members(t *testing.T, r *register, o memcached.Options, servers ...*server.Server) *backend.Store {
	t.Helper()
	o.Membership = r
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	return openWith(t, poolURL("", servers...), &o)
}

func ownerOf(t *testing.T, s *backend.Store, key string) string {
	t.Helper()
	var pool *memcachedconn.Pool
	if !s.As(&pool) {
		t.Fatal("no pool")
	}
	return pool.Pick(key).String()
}

func setServers(t *testing.T, s *backend.Store, servers ...*server.Server) {
	t.Helper()
	if err := memcached.SetServers(t.Context(), s, addrs(servers)...); err != nil {
		t.Fatal(err)
	}
}

func addrs(servers []*server.Server) []string {
	names := make([]string, len(servers))
	for i, s := range servers {
		names[i] = s.Addr()
	}
	return names
}

func TestTheFirstNodeRegistersThePoolAndOthersFollow(t *testing.T) {
	t.Parallel()
	servers := own(t, 3)
	r := newRegister()
	one := members(t, r, memcached.Options{}, servers[:2]...)
	add(t, one, "k", "v", time.Hour)
	two := members(t, r, memcached.Options{}, servers[2])
	if got := bodyAt(t, two, "k"); got != "v" {
		t.Errorf("a node with another URL reads %q", got)
	}
	want := slices.Sorted(slices.Values(addrs(servers[:2])))
	if got, err := memcached.Servers(t.Context(), two); err != nil || !slices.Equal(got, want) {
		t.Errorf("servers %v, %v, want %v", got, err, want)
	}
}

func TestAChangeOfServersMovesItsKeysOnlyAndEmptiesThem(t *testing.T) {
	t.Parallel()
	servers := own(t, 4)
	r := newRegister()
	one := members(t, r, memcached.Options{}, servers[:3]...)
	two := members(t, r, memcached.Options{}, servers[:3]...)
	all := keys(200)
	held := make(map[string]string) // by key, what must be there
	for step, list := range [][]*server.Server{servers[:3], servers, servers[:3], servers[1:], servers} {
		owners := make(map[string]string)
		for _, key := range all {
			owners[key] = ownerOf(t, one, key)
		}
		setServers(t, one, list...)
		moved := 0
		for _, key := range all {
			if ownerOf(t, one, key) != owners[key] {
				held[key] = ""
				moved++
			}
			for name, s := range map[string]*backend.Store{"the node that did it": one, "another node": two} {
				if got := bodyAt(t, s, key); got != held[key] {
					t.Fatalf("step %d: %s reads %q at %s, want %q", step, name, got, key, held[key])
				}
			}
		}
		if step > 0 && (moved == 0 || moved > len(all)*2/3) {
			t.Errorf("step %d moved %d of %d keys", step, moved, len(all))
		}
		for _, key := range all {
			if held[key] == "" {
				held[key] = "since step " + string(rune('0'+step))
				add(t, two, key, held[key], time.Hour)
			}
		}
	}
}

func TestAPoolOfANameThatIsInUseElsewhereSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	srv := servertest.Memcached(t)
	o := memcached.Options{Timeout: 2 * time.Second, Lease: 10 * time.Second}
	add(t, members(t, newRegister(), o, srv), "key", "old", time.Hour)

	other := members(t, newRegister(), o, srv) // of the same name, and another register
	if err := other.Ping(t.Context()); !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "waits up to 11s") {
		t.Errorf("a pool of a name that is in use: %v", err)
	}
}

func TestADeadServerIsRemovedWhenAllLeasesHaveEnded(t *testing.T) {
	t.Parallel()
	const lease = time.Second
	servers := []*server.Server{
		servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true}),
		servertest.Memcached(t), servertest.Memcached(t),
	}
	r := newRegister()
	o := memcached.Options{Lease: lease, Timeout: 2 * time.Second}
	one, two := members(t, r, o, servers...), members(t, r, o, servers...)
	var key, other string
	for _, k := range keys(100) {
		add(t, one, k, "old", time.Hour)
		if ownerOf(t, one, k) == servers[0].Addr() {
			key = k
		} else {
			other = k
		}
	}
	if err := servers[0].Stop(); err != nil { // its memory stays
		t.Fatal(err)
	}
	if err := two.Get(t.Context(), key)[0].Err; !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), servers[0].Addr()) {
		t.Errorf("before it is removed: %v", err)
	}
	begin := time.Now()
	done := make(chan error, 1)
	go func() { done <- memcached.SetServers(t.Context(), one, addrs(servers[1:])...) }() // awaited below
	for waiting := true; waiting; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			waiting = false
		default:
			if r := two.Get(t.Context(), other)[0]; r.Err != nil || r.Record == nil {
				t.Fatalf("a key of another server while one is removed: %v", r.Err)
			}
		}
	}
	if took := time.Since(begin); took < lease {
		t.Errorf("it took %v: nodes may still use the old list", took)
	}
	for name, s := range map[string]*backend.Store{"one": one, "two": two} {
		if got := bodyAt(t, s, key); got != "" {
			t.Errorf("%s reads %q", name, got)
		}
	}
	add(t, two, key, "new", time.Hour)

	if err := servers[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	setServers(t, two, servers...)
	if owner := ownerOf(t, two, key); owner != servers[0].Addr() {
		t.Fatalf("%s is the owner again, not %s", owner, servers[0].Addr())
	}
	for name, s := range map[string]*backend.Store{"one": one, "two": two} {
		if got := bodyAt(t, s, key); got != "" {
			t.Errorf("the server is back with its memory: %s reads %q", name, got)
		}
	}
}

func TestANodeWithoutItsMembershipGoesOnForALease(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	r := newRegister()
	s := members(t, r, memcached.Options{Lease: 2 * time.Second}, srv)
	add(t, s, "k", "v", time.Hour)
	broken := errors.New("the register is on fire")
	r.fail(broken)
	if got := bodyAt(t, s, "k"); got != "v" {
		t.Fatal(got)
	}
	eventually(t, "the lease ends", func() error {
		switch err := s.Get(t.Context(), "k")[0].Err; {
		case err == nil:
			return errors.New("still served")
		case !errors.Is(err, backend.ErrUnavailable), !errors.Is(err, broken):
			t.Fatalf("%v", err)
		}
		return nil
	})
	if e := s.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})[0]; e.Outcome != driver.Unsent {
		t.Errorf("a write then: %v, %v", e.Outcome, e.Err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, broken) {
		t.Errorf("a ping then: %v", err)
	}
	r.fail(nil)
	eventually(t, "it goes on", func() error { return s.Get(t.Context(), "k")[0].Err })
	if got := bodyAt(t, s, "k"); got != "v" {
		t.Errorf("then %q", got)
	}
}

func TestAChangeWhoseNodeDiedIsFinishedByAnother(t *testing.T) {
	t.Parallel()
	servers := own(t, 3)
	r := newRegister()
	o := memcached.Options{Timeout: 300 * time.Millisecond}
	one, two := members(t, r, o, servers[:2]...), members(t, r, o, servers[:2]...)
	add(t, two, "k", "v", time.Hour)
	// The one that changes it hears nothing more once the change is registered.
	dying := &dyingRegister{register: r}
	o.Membership = dying
	node := openWith(t, poolURL("", servers[:2]...), &o)
	if err := node.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := memcached.SetServers(t.Context(), node, addrs(servers)...); !errors.Is(err, errDied) {
		t.Fatalf("%v", err)
	}
	for name, s := range map[string]*backend.Store{"one": one, "two": two} {
		eventually(t, name, func() error {
			if got, err := memcached.Servers(t.Context(), s); err != nil || len(got) != 3 {
				return errors.New("not yet")
			}
			return nil
		})
	}
}

var errDied = errors.New("died")

// A dyingRegister fails all calls after a Swap.
type dyingRegister struct {
	*register
	dead atomic.Bool
}

func (r *dyingRegister) Load(ctx context.Context) ([]byte, uint64, error) {
	if r.dead.Load() {
		return nil, 0, errDied
	}
	return r.register.Load(ctx)
}

func (r *dyingRegister) Swap(ctx context.Context, value []byte, epoch uint64) (uint64, bool, error) {
	if r.dead.Swap(true) {
		return 0, false, errDied
	}
	return r.register.Swap(ctx, value, epoch)
}

func TestARegisterThatLostSomethingEmptiesThePool(t *testing.T) {
	t.Parallel()
	servers := own(t, 3)
	for name, lose := range map[string]func(r *register, before []byte, epoch uint64){
		"everything":      func(r *register, _ []byte, _ uint64) { r.hold(nil, 0) },
		"the last change": func(r *register, before []byte, epoch uint64) { r.hold(before, epoch) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegister()
			o := memcached.Options{Lease: 500 * time.Millisecond, Pool: name, Timeout: time.Second}
			s := members(t, r, o, servers[:2]...)
			all := keys(50)
			for _, key := range all {
				add(t, s, key, "old", time.Hour)
			}
			before, epoch := r.holds()
			setServers(t, s, servers...)
			lose(r, before, epoch)
			other := members(t, r, o, servers[:2]...)
			eventually(t, "the node that knows better registers a new list", func() error {
				for _, s := range []*backend.Store{s, other} {
					got, err := memcached.Servers(t.Context(), s)
					if err != nil {
						return err
					}
					if len(got) != 3 {
						return errors.New("an old list")
					}
					for _, r := range s.Get(t.Context(), all...) {
						if r.Err != nil {
							return r.Err
						}
						if r.Record != nil {
							return errors.New("an old record")
						}
					}
				}
				return nil
			})
		})
	}
}

func TestWithoutMembershipThePoolIsFixed(t *testing.T) {
	t.Parallel()
	s := open(t, poolURL("", servertest.SharedMemcached(t)))
	if err := memcached.SetServers(t.Context(), s, "a:1"); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	if err := memcached.SetServers(t.Context(), members(t, newRegister(), memcached.Options{Pool: "fixed"}, servertest.SharedMemcached(t)), "a:x"); err == nil {
		t.Error("a bad address: no error")
	}
}
