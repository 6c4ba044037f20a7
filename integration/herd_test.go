package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/weaken"
)

const (
	herdProcesses = 4
	herdCallers   = 1000 // in each
	herdLoad      = 500 * time.Millisecond
	herdCommands  = 60 // at most, of the whole fleet
)

// Of many callers in several processes who miss one key at the same moment one loads it, the remote tier is not overrun, and the others
// have the value soon after. docs/guarantees.md tells what it costs.
func TestHerdLoadsOnce(t *testing.T) {
	t.Parallel()
	for _, p := range herdPairs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			h := startHerd(t, p, herdSpec{Load: herdLoad})
			for end := time.Now().Add(loadFor(t, 0)); h.key == 0 || time.Now().Before(end); {
				o := h.run(t, 0)
				t.Logf("%v, %.2f times the load", o, float64(o.last)/float64(herdLoad))
				if o.loads != 1 || o.got[herdValue] != herdProcesses*herdCallers {
					t.Errorf("%d loads; callers got %v", o.loads, o.got)
				}
				// Where the machine lets the source take longer each process that waits looks further, 20 times a second at most.
				late := max(0, o.last-herdLoad*3/2)
				if most := herdCommands + (herdProcesses-1)*int(late/(50*time.Millisecond)); o.commands > most {
					t.Errorf("%d commands, at most %d", o.commands, most)
				}
			}
		})
	}
}

// The process that loads dies: another one takes over when its lease has ended.
func TestHerdWhoseLoaderIsKilledLoadsTwice(t *testing.T) {
	t.Parallel()
	// The source answers nobody who asks before the lease can have ended.
	h := startHerd(t, herdPairs[0], herdSpec{Lease: time.Second, Hang: 900 * time.Millisecond, Load: herdLoad})
	o := h.run(t, herdLoad/2)
	t.Logf("%v", o)
	if o.loads != 2 || o.got[herdValue] != (herdProcesses-1)*herdCallers || len(o.got) > 1 {
		t.Errorf("%d loads; callers got %v", o.loads, o.got)
	}
}

// An error is nobody else's: each process has its own, once for all its callers.
func TestHerdWhoseLoadFailsLoadsOnceAProcess(t *testing.T) {
	t.Parallel()
	h := startHerd(t, herdPairs[0], herdSpec{Load: herdLoad / 2, Fail: true})
	o := h.run(t, 0)
	t.Logf("%v, %.2f times the load", o, float64(o.last)/float64(herdLoad/2))
	failed := 0
	for got, n := range o.got {
		if strings.Contains(got, errHerd.Error()) {
			failed += n
		}
	}
	if o.loads != herdProcesses || failed != herdProcesses*herdCallers {
		t.Errorf("%d loads; callers got %v", o.loads, o.got)
	}
}

func TestHerdWithoutLeasesLoadsInEachProcess(t *testing.T) {
	t.Parallel()
	h := startHerd(t, herdPairs[0], herdSpec{Load: herdLoad, Without: weaken.Lease.String()})
	for range 10 { // in which all but one process may begin too late
		if o := h.run(t, 0); o.loads > 1 {
			t.Logf("%v", o)
			return
		}
	}
	t.Error("one load each: that it was one with leases proves nothing")
}

// A herdPair is a remote tier with a bus.
type herdPair struct {
	name       string
	store, bus herdServer // bus: none: it is on the client of the store
}

type herdServer struct {
	product string
	open    func(testing.TB) *server.Server
	command func([]byte) (string, int)
}

var (
	herdRedis     = herdServer{"redis", servertest.SharedRedis, redisCommand}
	herdMemcached = herdServer{"memcached", servertest.SharedMemcached, memcachedCommand}
	herdHazelcast = herdServer{"hazelcast", servertest.SharedHazelcast, hazelcastReadOrChange}

	herdPairs = []herdPair{
		{"Redis and Redis", herdRedis, herdServer{}},
		{"Memcached and Redis", herdMemcached, herdRedis},
		{"Memcached and Memcached", herdMemcached, herdMemcached},
		{"Hazelcast and Redis", herdHazelcast, herdRedis},
		{"Hazelcast and Hazelcast", herdHazelcast, herdHazelcast},
	}
)

// hazelcastReadOrChange is hazelcastCommand that knows a read of a map.
func hazelcastReadOrChange(b []byte) (string, int) {
	name, n := hazelcastCommand(b)
	if name == "map" && bytes.HasPrefix(b[6:], []byte{0x00, 0x02, 0x01, 0x00}) {
		name = "map get"
	}
	return name, n
}

// A herd is processes whose callers all want one key at the same moment, with a tap before each server.
type herd struct {
	nodes []*writer
	taps  []*tap
	told  chan herdTold
	key   int
}

// A herdTold is a line of a process; "": it has ended.
type herdTold struct {
	node int
	line string
}

// startHerd returns when all processes are connected and trusted.
func startHerd(t *testing.T, p herdPair, spec herdSpec) *herd {
	t.Helper()
	spec.Cache, spec.Name, spec.Product, spec.Callers = servertest.Key(t), servertest.Key(t), p.bus.product, herdCallers
	h := &herd{told: make(chan herdTold, 16*herdProcesses)}
	tap := func(s herdServer) string {
		x := newTap(t, s.open(t).URL(), ofTheHerd(s.command, spec.Name))
		h.taps = append(h.taps, x)
		return x.url
	}
	spec.Store = tap(p.store)
	if p.bus.open != nil {
		spec.Bus = tap(p.bus)
	}
	text, err := json.Marshal(spec)
	must(t, err)
	for i := range herdProcesses {
		w := startProcess(t, envHerd, string(text))
		h.nodes = append(h.nodes, w)
		go func() { // ends with the process
			for err := error(nil); err == nil; {
				var line string
				line, err = w.out.ReadString('\n')
				h.told <- herdTold{i, strings.TrimSpace(line)}
			}
		}()
	}
	for range h.nodes {
		if m := h.next(t); m.line != herdReady {
			t.Fatalf("process %d said %q before it was ready", m.node, m.line)
		}
	}
	return h
}

func (h *herd) next(t *testing.T) herdTold {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	select {
	case m := <-h.told:
		return m
	case <-deadline.C:
		t.Fatal("the herd says nothing")
		return herdTold{}
	}
}

// A herdOutcome is what became of one herd.
type herdOutcome struct {
	loads      int            // of the source
	got        map[string]int // callers by value or error
	last, late time.Duration  // when the last caller had its answer, and when the last process began
	commands   int
	which      map[string]int // commands, by name
	upkeep     int            // beside these
}

func (o herdOutcome) String() string {
	return fmt.Sprintf("%d loads, %d commands %v beside %d of upkeep; the last process began after %v, the last caller had it after %v",
		o.loads, o.commands, o.which, o.upkeep, o.late.Round(time.Millisecond), o.last.Round(time.Millisecond))
}

// run lets the callers of all processes read a key that nobody has read. If kill is not 0 the first process that loads is killed so
// long after it began to.
func (h *herd) run(t *testing.T, kill time.Duration) herdOutcome {
	t.Helper()
	o := herdOutcome{got: map[string]int{}}
	before := h.count()
	start, err := json.Marshal(herdStart{h.key, time.Now().Add(50 * time.Millisecond)})
	must(t, err)
	h.key++
	for _, w := range h.nodes {
		_, err := io.WriteString(w.in, string(start)+"\n")
		must(t, err)
	}
	for left := len(h.nodes); left > 0; {
		switch m := h.next(t); {
		case m.line == herdLoads:
			if o.loads++; o.loads == 1 && kill > 0 {
				middle := time.NewTimer(kill)
				<-middle.C
				h.nodes[m.node].kill()
			}
		case m.line == "" && kill == 0:
			t.Fatalf("process %d has ended", m.node)
		case m.line == "":
			left--
		default:
			left--
			var r herdReport
			must(t, json.Unmarshal([]byte(m.line), &r))
			for got, n := range r.Got {
				o.got[got] += n
			}
			o.last, o.late = max(o.last, r.Last), max(o.late, r.First)
		}
	}
	o.which = h.count()
	for name := range o.which {
		o.which[name] -= before[name]
		o.commands += o.which[name]
	}
	o.upkeep = o.which[herdUpkeep]
	o.commands -= o.upkeep
	maps.DeleteFunc(o.which, func(name string, n int) bool { return n == 0 || name == herdUpkeep })
	return o
}

// count returns how many commands the servers had until now, by name.
func (h *herd) count() map[string]int {
	all := map[string]int{}
	for _, x := range h.taps {
		x.mu.Lock()
		for name, n := range x.count {
			all[name] += n
		}
		x.mu.Unlock()
	}
	return all
}

// The names of commands that are no reads or changes of the key.
const (
	herdHint   = "hint"
	herdUpkeep = "upkeep" // what is sent whether or not somebody reads: heartbeats, looks at the log and at hints, the guard
)

// ofTheHerd tells hints and upkeep from what is read and changed at the key. Commands of connections do not count.
func ofTheHerd(command func([]byte) (string, int), bus string) func([]byte) (string, int) {
	return func(b []byte) (string, int) {
		name, n := command(b)
		has := func(s string) bool { return bytes.Contains(b[:n], []byte(s)) }
		switch {
		case name == "":
		case has(bus+"}:hints") && !has(bus+"}:log"):
			name = herdHint
		case has("{strata:" + bus), has("/1/guard"):
			name = herdUpkeep
		}
		return name, n
	}
}
