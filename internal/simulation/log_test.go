package simulation

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/tier"
)

// A repairLog is a node's, which outlasts its lives.
type repairLog struct{ life *life }

var _ tier.RepairLog = repairLog{}

func (o repairLog) Pending() ([]string, error) {
	w := o.life.w
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := slices.Sorted(maps.Keys(o.life.node.repair))
	w.logLocked("N%d has %q to repair", o.life.node.id, keys)
	return keys, nil
}

func (o repairLog) Add(key string) error  { return o.note(key, true) }
func (o repairLog) Done(key string) error { return o.note(key, false) }

// note is what reaches the disk: nothing of a life that has crashed does.
func (o repairLog) note(key string, pending bool) error {
	w := o.life.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.life.dead {
		return errDead
	}
	if pending {
		o.life.node.repair[key] = true
	} else {
		delete(o.life.node.repair, key)
	}
	return nil
}

// ringOf returns the keys of the buses of a script; nil: they do not sign.
func ringOf(s *script) *invalidation.Keyring {
	if !s.Signed {
		return nil
	}
	return ring()
}

var ring = sync.OnceValue(func() *invalidation.Keyring {
	secret := make([]byte, invalidation.MinKeySize)
	for i := range secret {
		secret[i] = byte(mix(uint64(i)))
	}
	key, err := invalidation.NewKey("simulation", bytes.Clone(secret))
	if err != nil {
		panic(err)
	}
	ring, err := invalidation.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	return ring
})
