package membus

import (
	"bytes"
	"cmp"
	"context"

	"github.com/strata-cache/strata/invalidation"
)

// register is what a hub keeps under a name. It does not outlive the incarnation of the log, so it is always current.
type register struct {
	value []byte
	epoch uint64
	since uint64
}

// ReadRegister implements invalidation.Registrar.
func (t *transport) ReadRegister(ctx context.Context, name string) (invalidation.Registered, error) {
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := t.usableLocked(ctx, "read a register"); err != nil {
		return invalidation.Registered{}, err
	}
	r, ok := h.registers[name]
	if !ok {
		return invalidation.Registered{}, nil
	}
	return invalidation.Registered{Value: bytes.Clone(r.value), Epoch: r.epoch, Since: r.since, Current: true}, nil
}

// WriteRegister implements invalidation.Registrar. The hub, which lives as long as all who could remember an epoch, counts
// epochs for all registers together, also through a Restart.
func (t *transport) WriteRegister(ctx context.Context, name string, w invalidation.RegisterWrite) (epoch uint64, written bool, err error) {
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := t.usableLocked(ctx, "write a register"); err != nil {
		return 0, false, err
	}
	if h.registers[name].epoch != w.Epoch {
		return 0, false, nil
	}
	h.epoch = max(h.epoch, w.Epoch, w.Above) + 1
	h.registers[name] = register{value: bytes.Clone(w.Value), epoch: h.epoch, since: cmp.Or(w.Since, h.epoch)}
	h.appendLocked(w.Frame)
	return h.epoch, true, nil
}
