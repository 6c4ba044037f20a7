package hazelcastbus

import "sync"

// knownEntries is how many entries are remembered: more than may wait for the bus.
const knownEntries = 2 * deliveryQueue

// known remembers by which random bytes the newest entries differ that the bus was told of. The position that it has reached is that
// of one of them, so that a replay, which begins there, sees whether the log still has that very entry.
type known struct {
	// mu guards what follows.
	mu  sync.Mutex
	ids [knownEntries]identity // by sequence
}

type identity struct {
	next int64 // the sequence and 1; 0 for none
	id   [itemHeader - itemID]byte
}

func identityOf(e entry) identity {
	i := identity{next: e.seq + 1}
	if len(e.raw) >= itemHeader {
		copy(i.id[:], e.raw[itemID:itemHeader])
	}
	return i
}

func (k *known) note(e entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids[e.seq%knownEntries] = identityOf(e)
}

// isOther reports whether e is certainly another entry than the one of which the bus was told at that sequence.
func (k *known) isOther(e entry) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.ids[e.seq%knownEntries]
	return was.next == e.seq+1 && was != identityOf(e)
}
