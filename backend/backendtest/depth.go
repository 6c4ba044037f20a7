package backendtest

import (
	"errors"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
)

// A Depth is a harness whose servers and network fail as they are told. Each field that is nil or empty leaves out the
// rules that need it, and the suite prints which.
type Depth struct {
	Harness

	// Topology names what is tested in the log of recovery times. No spaces: redis-sentinel-tls.
	Topology string

	// Servers are what names a server in an error: each error of a fault contains one of them.
	Servers []string

	// Network is between the stores that Open and OpenSmall open and all their servers.
	Network Network

	// OpenSmall opens a store that has at most Connections open, to all its servers together.
	OpenSmall   func(t *testing.T) *backend.Store
	Connections int

	// OpenPatient opens a store that waits for seconds: the rule of a thousand callers wants most of them served, which a busy
	// machine does not do within Timeout. Default: Open.
	OpenPatient func(t *testing.T) *backend.Store

	// NamesKeys says that each reply of the protocol names its key or its request, so that the answer to another question
	// is refused. Where it does not, package codec/encryption alone refuses another key's value.
	NamesKeys bool

	Restarts   []Restart
	Move       *Move
	Lies       []Lie
	Rejections []Rejection

	// Patience is how long a store may take to recover, or to end what it began. Default 30 s.
	Patience time.Duration

	// Spare holds why a rule does not hold for this topology, by the rule's name as it is printed ("fault/hang"). The rule
	// is skipped with that reason.
	Spare map[string]string

	// Immortal are functions, named as in a stack trace, of goroutines of a library that cannot be stopped.
	Immortal []string
}

// A Network plays faults on all connections between stores and servers, of any store that the harness opens. Its methods
// may be called concurrently. In this module it is a wire.Network.
type Network interface {
	// Play makes the fault of that name happen at the servers of these numbers, at all if none is given. What lasts, lasts
	// until Heal. errors.ErrUnsupported: it cannot play that, and the rule is skipped.
	//
	//	hang               nothing is read, either way; what was sent comes later
	//	black-hole-to      what is sent to the servers is lost, and nobody is told
	//	black-hole-from    what the servers send is lost, and nobody is told
	//	slow-drip          replies come byte by byte, so slowly that three take longer than the timeout
	//	refused            connections are reset, and new ones refused
	//	reset-in-reply     connections are reset after the first byte of the next reply
	//	garbage            replies are random bytes
	//	reset-after-some   connections are reset whenever a few hundred bytes of replies have come
	//	byte-flips         single bits of the replies are wrong
	//	few-ms-each-packet replies are a little late
	//	cut                connections are reset, once
	//	half-open-server   the servers' ends are closed, once, and the clients are not told
	//	half-open-client   the clients' ends are closed, once, and the servers are not told
	Play(fault string, servers ...int) error

	// Rewrite passes what servers send through a function for each connection, which is given the pieces in order, until
	// Heal.
	Rewrite(f func(conn int) func(reply []byte) []byte)

	// Heal ends what lasts. Connections that were closed stay so.
	Heal() error

	// Servers returns how many servers there are.
	Servers() int

	// Open returns how many connections clients have open.
	Open() int
}

// A Restart restarts all servers.
type Restart struct {
	Name string
	Do   func(t *testing.T) // returns when the servers answer

	// Keeps says that what was stored before is served afterwards. Otherwise none of it may be.
	Keeps bool
}

// A Move gives the servers other addresses.
type Move struct {
	Open func(t *testing.T) *backend.Store // a store that knows the servers by name
	Do   func(t *testing.T)                // changes what the name resolves to, until t ends; at the old address nobody answers
}

// A Lie is a way in which a server's replies are not true, which the client has to notice.
type Lie struct {
	Name    string
	Rewrite func(conn int) func(reply []byte) []byte

	// Alloc is how many bytes the whole process may allocate meanwhile. Default: 64 MiB.
	Alloc uint64
}

// A Rejection is a store whose servers do not let it in, or which does not trust them.
type Rejection struct {
	Name string // wrong-ca, expired, wrong-host, wrong-password, missing-permission

	// Open opens the store. An error of it is held to the same as those of the calls.
	Open func(t *testing.T) (*backend.Store, error)

	Words   []string // the error contains each, in any case: the server and the cause
	Secrets []string // and none of these
	Is      error    // what the error is. Default: backend.ErrUnavailable

	// Calls are the names of the methods that fail: Ping, Get, "bulk Get", Add, Swap, Place, Delete, Count, Scan, Stats. The
	// others have to succeed. Default: all fail.
	Calls []string
}

// depthGroups run one after another: their subject is the whole process.
var depthGroups = []struct {
	name  string
	rules []rule
}{
	{"fault", append(lastingRules(), passingRules...)},
	{"lie", lieRules},
	{"crowd", crowdRules},
	{"restart", restartRules},
	{"rejection", rejectionRules},
}

// RunDepth runs the rules of failures in depth, one after another. After each no connection and no goroutine that it began
// may be left. How long a store took to recover is logged as
//
//	recovery: topology=redis-single fault=hang 12ms
//
// The servers may not be used by others, and no other test of the process should run meanwhile.
func RunDepth(t *testing.T, newDepth func(t *testing.T) Depth) {
	d := newDepth(t)
	d.Harness = d.Harness.withDefaults()
	if d.Patience == 0 {
		d.Patience = patience
	}
	if d.Topology == "" {
		t.Fatal("backendtest: RunDepth: the harness needs a Topology")
	}
	for _, g := range depthGroups {
		t.Run(g.name, func(t *testing.T) {
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) {
					if reason := d.Spare[g.name+"/"+r.name]; reason != "" {
						t.Skip(reason)
					}
					r.runDeep(t, &d)
				})
			}
		})
	}
}

func (r rule) runDeep(t *testing.T, d *Depth) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the contract: %s", r.text)
		}
	})
	e := &env{Harness: d.Harness, depth: d, own: ownPrefix(t), mark: mark(t, d)}
	defer e.mark.end()
	r.test(t, e)
}

// network returns the network, or skips the test.
func (e *env) network(t *testing.T) Network {
	t.Helper()
	if e.depth.Network == nil {
		t.Skip("the harness has no network")
	}
	return e.depth.Network
}

// openDeep opens the store of a rule, and waits until its servers answer.
func (e *env) openDeep(t *testing.T, opener func(t *testing.T) *backend.Store) {
	t.Helper()
	h := e.Harness
	h.Open = opener
	e.store = open(t, h)
	awaitUp(t, e.store, h)
}

// play makes a fault happen until heal is called or the rule ends.
func (e *env) play(t *testing.T, fault string, servers ...int) (heal func()) {
	t.Helper()
	n := e.network(t)
	e.mark.apart(func() {
		if err := n.Play(fault, servers...); errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		} else if err != nil {
			t.Fatal(err)
		}
	})
	return e.healing(t)
}

// healing returns a function that heals the network, which runs at the end of the rule too.
func (e *env) healing(t *testing.T) func() {
	n, healed := e.network(t), false
	heal := func() {
		if healed {
			return
		}
		healed = true
		e.mark.apart(func() {
			if err := n.Heal(); err != nil {
				t.Errorf("the network cannot be healed: %v", err)
			}
		})
	}
	t.Cleanup(heal)
	return heal
}

// recovery polls until f returns nil, and fails after the patience of the harness.
func (e *env) recovery(t *testing.T, what string, f func() error) {
	t.Helper()
	poll(t, time.Millisecond, e.depth.Patience, what, f)
}

// logRecovery is the one form of it, from which docs/backends.md is filled.
func (e *env) logRecovery(t *testing.T, fault string, took time.Duration) {
	t.Logf("recovery: topology=%s fault=%s %s", e.depth.Topology, fault, took.Round(100*time.Microsecond))
}
