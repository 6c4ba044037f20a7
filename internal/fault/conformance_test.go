package fault_test

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/internal/servertest"
)

// with returns s with the faults of i.
func with(s *backend.Store, i fault.Injector) *backend.Store {
	return s.With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return fault.Wrap(d, i) }})
}

// bearable are faults that no rule of the suite can tell from a server that is a little slow.
func bearable() fault.Injector {
	return fault.First(fault.Delay(time.Millisecond).If(fault.Randomly(0.5, 1)), fault.Fault{})
}

// patient is a timeout that a busy machine does not reach.
const patient = 15 * time.Second

var features = backendtest.Features{Counter: true, Scanner: true, Statser: true, Identifier: true}

func TestConformanceOverMemory(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backendtest.Harness { return memoryHarness(bearable()) })
}

func memoryHarness(i fault.Injector) backendtest.Harness {
	url := "memory://" + rand.Text()
	f := features
	f.MaxRecord = memory.DefaultMaxBytes / 8
	return backendtest.Harness{
		Open: func(t *testing.T) *backend.Store {
			s, err := backend.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			return with(s, i)
		},
		Timeout:  patient,
		Features: f,
	}
}

func TestConformanceOverRedis(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedRedis(t)
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		open := func(t *testing.T) *backend.Store {
			s, err := redis.Open(t.Context(), srv.URL(), &redis.Options{Timeout: patient})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		bare := open(t)
		defer bare.Close()
		f := features
		f.RiderWriter = true
		f.MaxRecord, _ = bare.MaxRecord()
		return backendtest.Harness{
			Open:     func(t *testing.T) *backend.Store { return with(open(t), bearable()) },
			Timeout:  patient,
			Features: f,
		}
	})
}

// A network holds what is sent while it is paused, and fails it while it is down.
type network struct {
	mu     sync.Mutex
	down   bool          // guarded by mu
	paused chan struct{} // guarded by mu; closed by resume
}

func (n *network) Inject(fault.Op) fault.Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.down:
		return fault.Fail(nil)
	case n.paused != nil:
		return fault.Hold(n.paused)
	}
	return fault.Fault{}
}

func (n *network) String() string { return "network" }

func (n *network) set(down, paused bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down = down; n.paused != nil {
		close(n.paused)
		n.paused = nil
	}
	if paused {
		n.paused = make(chan struct{})
	}
}

// What the rules of outages want of a server is what the faults do to memory, under a timeout.
func TestFaultsMakeAnOutage(t *testing.T) {
	t.Parallel()
	backendtest.RunOutage(t, func(t *testing.T) backendtest.Harness {
		n := &network{}
		h := memoryHarness(n)
		h.Timeout = 500 * time.Millisecond
		open := h.Open
		h.Open = func(t *testing.T) *backend.Store { return open(t).With(&backend.Options{Timeout: h.Timeout}) }
		h.Stop = func(*testing.T) { n.set(true, false) }
		h.Restart = func(*testing.T) { n.set(false, false) }
		h.Pause = func(*testing.T) { n.set(false, true) }
		h.Resume = func(*testing.T) { n.set(false, false) }
		return h
	})
}
