package coherence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strata-cache/strata/integration/coherence/clock"
	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
)

// A run is one check under way.
type run struct {
	Config
	id     string // of the cache and the bus: no other run has it
	folder string
	plain  bool    // of the nodes' caches
	apart  bool    // backend and bus never share a client
	pace   float64 // how long faults last, 1 for as long as they should

	backend, bus *site // may be the same
	source       *source
	seats        []*seat
	chosen       []fault
	closers      []func() error // in the order of opening
	calmLoads    int64          // until the end of the faults
	errors       io.Writer      // of all nodes

	// calmServers is held by scripts, which need servers at which nothing goes wrong, and shared by the faults of servers.
	calmServers sync.RWMutex

	mu       sync.Mutex
	history  history.History // guarded by mu, as what follows
	failures []string        // of the check itself
	nextKey  int             // of scripts
	counts   map[string]int  // of faults that have begun
}

// Run does a check. An error is that it could not be done; what it found is in the report.
func Run(ctx context.Context, c *Config) (_ *Report, err error) {
	r, err := newRun(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, close := range slices.Backward(r.closers) {
			err = errors.Join(err, close())
		}
	}()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if err := r.traffic(ctx); err != nil {
		return nil, err
	}
	if err := r.end(ctx); err != nil {
		return nil, err
	}
	report, err := r.report()
	if err == nil && r.Traffic.Calm {
		if report.Calm, err = r.compare(ctx, report); err == nil && report.Calm.Ratio > MostLoads {
			report.Insufficient = append(report.Insufficient, fmt.Sprintf("a read costs %.2f times the loads of the hand-made pair, at most %v are wanted", report.Calm.Ratio, MostLoads))
		}
	}
	return report, err
}

func newRun(c *Config) (*run, error) {
	o, err := c.complete()
	if err != nil {
		return nil, err
	}
	var id [6]byte
	rand.Read(id[:])
	r := &run{Config: o, id: hex.EncodeToString(id[:]), pace: 1, counts: map[string]int{}}
	if o.Duration < 40*time.Second {
		r.pace = 0.6
	}
	r.nextKey = o.Traffic.Keys
	if o.NodeErrors != nil {
		r.errors = &shared{w: o.NodeErrors}
	}
	return r, nil
}

// shared is a writer for several.
type shared struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// open starts everything and waits until the caches may use their local tiers.
func (r *run) open(ctx context.Context) (err error) {
	r.Progress(0, "starting servers")
	if r.folder, err = os.MkdirTemp("", "strata-check-"); err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { return os.RemoveAll(r.folder) })
	if err := r.openSites(ctx); err != nil {
		return err
	}
	return r.openNodes(ctx)
}

// openNodes starts the source and the nodes.
func (r *run) openNodes(ctx context.Context) (err error) {
	if r.source, err = newSource(r.Traffic.Keys + scriptKeys); err != nil {
		return err
	}
	r.closers = append(r.closers, r.source.Close)
	for i := range r.Nodes {
		s, err := r.newSeat(i)
		if err != nil {
			return err
		}
		r.seats = append(r.seats, s)
	}
	if r.chosen, err = choose(r.catalogue(), r.Faults); err != nil {
		return err
	}
	r.Progress(0, "starting nodes")
	r.closers = append(r.closers, r.closePeers)
	if err := r.each(func(s *seat) error { return r.seatPeer(ctx, s) }); err != nil {
		return err
	}
	if err := r.awaitTrust(ctx, 60*time.Second); err != nil {
		return fmt.Errorf("coherence: the caches are not trusted before anything went wrong: %w", err)
	}
	return nil
}

func (r *run) openSites(ctx context.Context) (err error) {
	failover := wantsFailover(r.Faults)
	if r.Backend == r.Bus {
		if r.backend, err = openSite(ctx, "server", r.Backend, failover); err == nil {
			r.bus = r.backend
			r.closers = append(r.closers, r.backend.Close)
		}
		return err
	}
	if r.backend, err = openSite(ctx, "backend-server", r.Backend, failover); err != nil {
		return err
	}
	r.closers = append(r.closers, r.backend.Close)
	if r.bus, err = openSite(ctx, "bus-server", r.Bus, false); err != nil {
		return err
	}
	r.closers = append(r.closers, r.bus.Close)
	return nil
}

// wantsFailover reports whether a list of faults holds failover, for which a Redis needs a replica and Sentinels.
func wantsFailover(list []string) (wanted bool) {
	for _, word := range list {
		rest, minus := strings.CutPrefix(strings.TrimSpace(word), "-")
		if rest == "all" || strings.HasPrefix(rest, "failover") {
			wanted = !minus
		}
	}
	return wanted
}

// each does something with all seats at once.
func (r *run) each(do func(*seat) error) error {
	errs := make([]error, len(r.seats))
	var all sync.WaitGroup
	for i, s := range r.seats {
		all.Go(func() { errs[i] = do(s) }) // joined below
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *run) closePeers() error {
	return r.each(func(s *seat) error {
		if p := s.get(); p != nil {
			return p.Close()
		}
		return nil
	})
}

// heard keeps what a node tells.
func (r *run) heard(m node.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Runs = append(r.history.Runs, m.Runs...)
	r.history.Fails = append(r.history.Fails, m.Fails...)
	r.history.Writes = append(r.history.Writes, m.Writes...)
}

// promise notes keys at which the death of a process is no excuse.
func (r *run) promise(keys []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.history.Promised == nil {
		r.history.Promised = map[int]bool{}
	}
	for _, k := range keys {
		r.history.Promised[k] = true
	}
}

func (r *run) died(p history.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Died = append(r.history.Died, p)
}

// failed notes that the check itself did not work as it should.
func (r *run) failed(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// since is how long it is since the traffic began.
func (r *run) since() time.Duration { return time.Duration(clock.Now() - r.history.Start) }

// traffic lets the nodes work and things go wrong, for as long as the check takes.
func (r *run) traffic(ctx context.Context) error {
	r.history.Start = clock.Now()
	if err := r.each(func(s *seat) error { _, err := s.get().ask(ctx, node.Request{Begin: true}); return err }); err != nil {
		return err
	}
	sleep(ctx, min(2*time.Second, r.Duration/10)) // what is empty does not break
	r.schedule(ctx)
	return ctx.Err()
}

// end waits until all is well again, stops the traffic, and lets every node look at every key.
func (r *run) end(ctx context.Context) error {
	r.calmLoads = r.source.loads.Load()
	r.Progress(1, "all faults are over; looking whether what is stale stays so")
	sleep(ctx, r.MaxStaleness)
	if err := r.each(func(s *seat) error {
		_, err := s.get().ask(ctx, node.Request{End: true})
		if err != nil {
			return fmt.Errorf("%v: %w", s.config.Process, err)
		}
		return nil
	}); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.failed("after all faults were over: %v", err)
	}
	if err := r.awaitTrust(ctx, 30*time.Second); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.failed("after all faults were over the caches are not trusted: %v", err)
	}
	sleep(ctx, r.MaxStaleness)
	return r.each(func(s *seat) error { return r.lookAtAll(ctx, s) })
}

// lookAtAll makes a node read every key that was used.
func (r *run) lookAtAll(ctx context.Context, s *seat) error {
	const atOnce = 32
	r.mu.Lock()
	keys := r.nextKey
	r.mu.Unlock()
	errs := make([]error, atOnce)
	var all sync.WaitGroup
	for i := range atOnce {
		all.Go(func() { // joined below
			var mine []int
			for k := i; k < keys; k += atOnce {
				mine = append(mine, k)
			}
			_, errs[i] = s.get().ask(ctx, node.Request{Read: &node.Read{Keys: mine, Final: true}})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
