package membus

import (
	"crypto/rand"
	"sync"

	"github.com/strata-cache/strata/invalidation"
)

// QueueLength is how many deliveries wait for a listener at most.
const QueueLength = 4096

// DefaultReach is how many frames a hub keeps to be given again.
const DefaultReach = 4096

// Hub is a log that transports of one process share. Safe for concurrent use.
type Hub struct {
	// mu guards everything below, and the queues of all transports. Channels are only signalled under it, without blocking.
	mu        sync.Mutex
	head      invalidation.Position
	recent    [][]byte // the newest frames, up to the head; reach at most
	reach     int
	listeners map[*transport]struct{}
	registers map[string]register
	epoch     uint64 // the last that any register was given
	drop      int
	paused    bool
	stopped   bool
}

// NewHub returns a hub with an empty log.
func NewHub() *Hub {
	h := &Hub{listeners: map[*transport]struct{}{}, registers: map[string]register{}, reach: DefaultReach}
	_, _ = rand.Read(h.head.Incarnation[:]) // never fails
	return h
}

// Bus starts a bus of its own, one node, on the hub. The caller closes it.
func Bus(h *Hub, o *invalidation.Options) *invalidation.Bus {
	return invalidation.New(h.Transport(), o)
}

// Transport returns a new subscription to the hub, for invalidation.New.
func (h *Hub) Transport() invalidation.Transport {
	t := &transport{hub: h, fresh: true, ready: make(chan struct{}, 1), closed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[t] = struct{}{}
	t.signal()
	return t
}

// Head is the position of the newest frame.
func (h *Hub) Head() invalidation.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head
}

// Reach makes the hub keep the newest n frames to be given again, in place of DefaultReach, and forget those before. With 0
// whoever misses something has to flush.
func (h *Hub) Reach(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reach = max(n, 0)
	h.trimLocked()
}

// trimLocked forgets what is beyond the reach; h.mu must be held.
func (h *Hub) trimLocked() {
	if more := len(h.recent) - h.reach; more > 0 {
		clear(h.recent[:more])
		h.recent = h.recent[more:]
	}
}

// Drop makes the next n frames of the log reach nobody. They get positions, are kept to be given again, and their publishers
// are told of success.
func (h *Hub) Drop(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop = n
}

// Cut ends every subscription, with what was queued for it, and begins new ones.
func (h *Hub) Cut() { h.change(func() {}) }

// Restart is Cut by a server that lost its data, registers included: another incarnation, from zero.
func (h *Hub) Restart() { h.change(h.loseLocked) }

// Lose is Restart without a cut: subscriptions stay, as on a server whose data somebody deletes, and hear the new log.
func (h *Hub) Lose() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loseLocked()
}

// loseLocked begins another incarnation; h.mu must be held.
func (h *Hub) loseLocked() {
	h.head, h.recent = invalidation.Position{}, nil
	clear(h.registers)
	_, _ = rand.Read(h.head.Incarnation[:])
}

// Stop makes the hub unreachable: every call fails with invalidation.ErrUnavailable.
func (h *Hub) Stop() { h.change(func() { h.stopped = true }) }

// Start ends Stop; subscriptions begin anew.
func (h *Hub) Start() { h.change(func() { h.stopped = false }) }

// change does something to the hub that no subscription survives.
func (h *Hub) change(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
	for t := range h.listeners {
		t.renewLocked()
	}
}

// Pause holds deliveries back while publishing goes on, as a connection does through which nothing arrives any more.
func (h *Hub) Pause() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paused = true
}

// Resume ends Pause. What was held back arrives, save on subscriptions that were replaced meanwhile.
func (h *Hub) Resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paused = false
	for t := range h.listeners {
		t.signal()
	}
}
