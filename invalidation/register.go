package invalidation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// MaxRegister is the size of the largest value in a register, in bytes.
const MaxRegister = 64 << 10

const (
	// registerTries bounds how often Load begins anew because others changed the register meanwhile.
	registerTries = 10
	// registerGrace is how long a node that knows nothing waits for those that know, when the server has restarted: they
	// must have subscribed anew, for which they pause up to a second.
	registerGrace = 3 * time.Second
)

// Register returns the register called name that all nodes of the bus share: one small value, changed by compare-and-swap. It
// asks no server. Every call for one name returns the same Registry, which lives as long as the bus. Transports that keep no
// registers are ErrUnsupported.
func Register(b *Bus, name string) (*Registry, error) {
	if name == "" || len(name) > MaxName {
		return nil, fmt.Errorf("invalidation: register: a name has 1 to %d bytes, got %d", MaxName, len(name))
	}
	keeper, ok := b.transport.(Registrar)
	if !ok {
		return nil, fmt.Errorf("invalidation: register %q: the transport %T keeps no registers: %w", name, b.transport, ErrUnsupported)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fmt.Errorf("invalidation: register %q: %w", name, ErrClosed)
	}
	r := b.registers[name]
	if r == nil {
		r = &Registry{bus: b, keeper: keeper, name: name}
		b.registers[name] = r
	}
	return r, nil
}

// Registry is one value that all nodes share, and its epoch: who is in a pool of servers, say. Safe for concurrent use.
//
// An epoch stands for one value under one name, for ever: two nodes that hold the same epoch hold the same value. Epochs that a
// node sees only grow. To hold that when the server does not keep what it acknowledged, an epoch is more than a counter:
//
//   - A new epoch is at least the server's clock in microseconds, so that a server that lost everything does not begin at 1.
//   - A value that was written in another incarnation of the log, as before a restart, a failover or a restored snapshot, may
//     not be the last. It gets a new epoch from the first node that loads it, and nothing is swapped from the old one.
//   - A node that finds an older value than it has seen, or none, puts back the one that it has seen, under a new epoch. A
//     node that has seen neither waits for such a node, for a while.
//
// What remains: if no node that is alive has seen the last change, it is gone, and nobody can tell. Who must not act on an old
// value needs a mark elsewhere by which to know it, as a server of a Memcached pool has one.
type Registry struct {
	bus    *Bus
	keeper Registrar
	name   string

	// mu guards the rest. Nothing is called while it is held.
	mu      sync.Mutex
	last    Registered // the newest that this node has seen
	doubted uint64     // an epoch of which somebody may know more
	grace   time.Time  // until when such a one is waited for
}

// Load returns the value and its epoch; a nil value and epoch 0 if nothing was registered yet. An outage is an error, for which
// errors.Is finds ErrUnavailable, and never nothing. The value is the caller's.
//
// It takes some seconds, and asks the server more than once, for a node that begins just when the server has restarted.
func (r *Registry) Load(ctx context.Context) (value []byte, epoch uint64, err error) {
	signal, stop := r.Changed()
	defer stop()
	ctx, leave, err := r.bus.enter(ctx, r.doing("load"))
	if err != nil {
		return nil, 0, err
	}
	defer leave(&err)
	for tries := 0; tries < registerTries; tries++ {
		last := r.seen()
		found, err := r.keeper.ReadRegister(ctx, r.name)
		if err != nil {
			return nil, 0, err
		}
		w := RegisterWrite{Value: found.Value, Epoch: found.Epoch, Since: found.Since}
		switch {
		case found.Since < last.Since: // the server forgot
			w.Value, w.Since = bytes.Clone(last.Value), last.Since
		case found.Epoch == 0:
			return nil, 0, nil
		case found.Current && r.saw(found):
			return found.Value, found.Epoch, nil
		case found.Current: // this node has seen more, while that answer was on its way
			continue
		case found.Since > last.Since: // this node does not know it, and somebody may know more
			if grace := r.graceOf(found.Epoch); grace > 0 {
				if err := await(ctx, signal, grace); err != nil {
					return nil, 0, err
				}
				tries-- // until the grace is over
				continue
			}
		}
		epoch, written, err := r.write(ctx, w)
		if err != nil {
			return nil, 0, err
		}
		if written {
			return w.Value, epoch, nil
		}
	}
	return nil, 0, fmt.Errorf("changed at each of %d tries: %w", registerTries, ErrUnavailable)
}

// await waits for a signal, for a time at most.
func await(ctx context.Context, signal <-chan struct{}, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-signal:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// graceOf returns for how long somebody who knows more than epoch need still be waited for. It counts from when this node saw
// it first, whichever call did.
func (r *Registry) graceOf(epoch uint64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doubted != epoch {
		r.doubted, r.grace = epoch, time.Now().Add(registerGrace)
	}
	return time.Until(r.grace)
}

// Swap stores value if the epoch that stands is epoch, where 0 means that nothing was registered yet, and returns the epoch that
// the value got; swapped is false, and newEpoch 0, if another one stands: Load tells which. Values have at most MaxRegister
// bytes; others are ErrTooLarge. After any other error the outcome is unknown: the value may be stored, now or later.
//
// The change is announced in the step that stores it: once Swap has returned, every node hears of it before anything that is
// announced later, or flushes its caches, or ceases to be trusted. Those who watch by Changed are then told.
func (r *Registry) Swap(ctx context.Context, value []byte, epoch uint64) (newEpoch uint64, swapped bool, err error) {
	if len(value) > MaxRegister {
		return 0, false, fmt.Errorf("invalidation: register %q: swap: a value of %d bytes, at most %d: %w", r.name, len(value), MaxRegister, ErrTooLarge)
	}
	if epoch > MaxEpoch {
		return 0, false, nil // never stood there
	}
	ctx, leave, err := r.bus.enter(ctx, r.doing("swap"))
	if err != nil {
		return 0, false, err
	}
	defer leave(&err)
	return r.write(ctx, RegisterWrite{Value: bytes.Clone(value), Epoch: epoch})
}

// Changed returns a channel that holds a signal after the value may have changed, one however often it did, and a function that
// ends the watch and must be called. Whoever begins to watch, then loads, and loads again at every signal, misses no change:
// the signal comes with the announcement of a change, this node's own included, and whenever announcements may have been missed.
func (r *Registry) Changed() (signal <-chan struct{}, stop func()) {
	return r.bus.changes.watch(r.name)
}

// write changes the register above all that this node has seen, and remembers it. w.Value must not be changed until it returns.
func (r *Registry) write(ctx context.Context, w RegisterWrite) (epoch uint64, written bool, err error) {
	w.Above = r.seen().Epoch
	frame := encodeRegister(r.bus.node, r.name)
	if w.Frame, err = r.bus.signer.one(frame, r.bus.Position()); err != nil {
		return 0, false, err
	}
	epoch, written, err = r.keeper.WriteRegister(ctx, r.name, w)
	if err != nil || !written {
		return 0, false, err
	}
	if epoch <= w.Epoch || epoch <= w.Above || epoch > MaxEpoch {
		return 0, false, fmt.Errorf("the transport gave epoch %d after %d and %d", epoch, w.Epoch, w.Above)
	}
	r.saw(Registered{Value: w.Value, Epoch: epoch, Since: cmp.Or(w.Since, epoch)})
	if r.bus.signer.ring != nil { // which log took the first frame nobody has said, and a signature counts in one only
		_, err = r.bus.append(ctx, [][]byte{frame})
	}
	return epoch, err == nil, err
}

// seen returns the newest that this node has seen. Nobody changes its value.
func (r *Registry) seen() Registered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// saw remembers what stood in the register, and reports whether this node has seen nothing that is newer.
func (r *Registry) saw(found Registered) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found.Epoch > r.last.Epoch {
		found.Value = bytes.Clone(found.Value)
		r.last = found
	}
	return found.Epoch == r.last.Epoch
}

func (r *Registry) doing(op string) string { return fmt.Sprintf("register %q: %s", r.name, op) }
