package invalidation

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// MaxRegister is the size of the largest value in a register, in bytes.
const MaxRegister = 64 << 10

// registerTries bounds how often Load begins anew because others changed the register meanwhile.
const registerTries = 10

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
// An epoch stands for one value under one name, for ever: two nodes that hold the same epoch hold the same value, and what was
// done under an epoch that has passed can be told from what is done now. Epochs that a node sees only grow. To hold that when
// the server does not keep what it acknowledged, an epoch is more than a counter:
//
//   - A new epoch is at least the server's clock in microseconds, so that a server that lost everything does not begin at 1.
//   - A value that was written in another incarnation of the log, as before a restart, a failover or a restored snapshot, gets a
//     new epoch from the first node that loads it: nobody can tell which changes are missing behind it.
//   - A node that finds an older epoch than it has seen, or none, puts back the value that it has seen, above that epoch. So a
//     server that was emptied is told again what stood there.
//
// What remains: a server that lost the last changes, as at a failover, goes on from the value that it kept if a node that had
// not heard of them looks before one that had. All nodes then agree on that value, under a new epoch.
type Registry struct {
	bus    *Bus
	keeper Registrar
	name   string

	// mu guards what this node has seen last. Nothing is called while it is held.
	mu    sync.Mutex
	epoch uint64
	value []byte
}

// Load returns the value and its epoch; a nil value and epoch 0 if nothing was registered yet. An outage is an error, for which
// errors.Is finds ErrUnavailable, and never nothing. The value is the caller's.
func (r *Registry) Load(ctx context.Context) (value []byte, epoch uint64, err error) {
	ctx, leave, err := r.begin(ctx, "load")
	if err != nil {
		return nil, 0, err
	}
	defer leave(&err)
	for range registerTries {
		seen, held := r.seen()
		found, err := r.keeper.ReadRegister(ctx, r.name)
		if err != nil {
			return nil, 0, err
		}
		w := RegisterWrite{Epoch: found.Epoch}
		switch {
		case found.Epoch < seen: // the server forgot
			w.Value = held
		case found.Epoch == 0:
			return nil, 0, nil
		case !found.Current:
			w.Value = found.Value
		case r.saw(found.Epoch, found.Value):
			return found.Value, found.Epoch, nil
		default: // this node has seen more, while that answer was on its way
			continue
		}
		epoch, written, err := r.write(ctx, w)
		if err != nil {
			return nil, 0, err
		}
		if written {
			return bytes.Clone(w.Value), epoch, nil
		}
	}
	return nil, 0, fmt.Errorf("changed at each of %d tries: %w", registerTries, ErrUnavailable)
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
	ctx, leave, err := r.begin(ctx, "swap")
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

// write changes the register above all that this node has seen, and remembers it. w.Value must not be changed any more.
func (r *Registry) write(ctx context.Context, w RegisterWrite) (epoch uint64, written bool, err error) {
	w.Above, _ = r.seen()
	w.Frame = encodeRegister(r.bus.node, r.name)
	epoch, written, err = r.keeper.WriteRegister(ctx, r.name, w)
	if err != nil || !written {
		return 0, false, err
	}
	if epoch <= w.Epoch || epoch <= w.Above || epoch > MaxEpoch {
		return 0, false, fmt.Errorf("the transport gave epoch %d after %d and %d", epoch, w.Epoch, w.Above)
	}
	r.saw(epoch, w.Value)
	return epoch, true, nil
}

func (r *Registry) seen() (epoch uint64, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch, r.value
}

// saw remembers a value of the register, and reports whether this node has seen none that is newer.
func (r *Registry) saw(epoch uint64, value []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch > r.epoch {
		r.epoch, r.value = epoch, bytes.Clone(value)
	}
	return epoch == r.epoch
}

// begin starts a call of the transport, which also ends when the bus closes; Close waits for leave. leave names what failed, and
// leaves the error of the caller's own context as it is.
func (r *Registry) begin(caller context.Context, op string) (ctx context.Context, leave func(err *error), err error) {
	b := r.bus
	if err := caller.Err(); err != nil {
		return nil, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, fmt.Errorf("invalidation: register %q: %s: %w", r.name, op, ErrClosed)
	}
	b.work.Add(1) // before Close waits: closed is not set yet
	ctx, cancel := context.WithCancel(caller)
	stop := context.AfterFunc(b.ctx, cancel)
	return ctx, func(err *error) {
		defer b.work.Done()
		defer cancel()
		stop()
		switch {
		case *err == nil, caller.Err() != nil:
		case b.ctx.Err() != nil:
			*err = fmt.Errorf("invalidation: register %q: %s: %w", r.name, op, ErrClosed)
		default:
			*err = fmt.Errorf("invalidation: register %q: %s: %w", r.name, op, *err)
		}
	}, nil
}
