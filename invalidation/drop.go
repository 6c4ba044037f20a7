package invalidation

import (
	"errors"
	"time"
)

// Why a frame did not count. In the log each but DropReplayed is a gap, for which receivers flush; on a channel beside it, nothing.
const (
	// DropUndecodable: it is no frame.
	DropUndecodable = "undecodable"
	// DropTooNew: it is of a version, or of a kind, that this one does not know.
	DropTooNew = "too-new"
	// DropUnauthenticated: it is not signed under a key of Options.Keys.
	DropUnauthenticated = "unauthenticated"
	// DropReplayed: it has counted already, or was signed for another place: somebody has published it again.
	DropReplayed = "replayed"
	// DropUnproven: it was signed before this node began to listen, so that it may be a replay. If it stands in the log it is read
	// from there, as happens at the beginning and after a flush.
	DropUnproven = "unproven"
)

// dropReasons are all of them, in the order of drops.
var dropReasons = [...]string{DropUndecodable, DropTooNew, DropUnauthenticated, DropReplayed, DropUnproven}

// dropPause is the time between two events about one reason: a flood of frames is no flood of events.
const dropPause = time.Second

// drops knows what has been told of what was dropped. It belongs to the receive goroutine.
type drops [len(dropReasons)]struct {
	told   time.Time
	untold int
}

func dropReason(err error) int {
	switch {
	case errors.Is(err, errTooNew):
		return 1
	case errors.Is(err, errUnauthenticated):
		return 2
	case errors.Is(err, errReplayed):
		return 3
	case errors.Is(err, errUnproven):
		return 4
	default:
		return 0
	}
}

// drop counts a frame that does not count, and tells of it now and then.
func (b *Bus) drop(node NodeID, err error) {
	i := dropReason(err)
	b.count.dropped[i].Add(1)
	d := &b.drops[i]
	d.untold++
	if now := time.Now(); d.told.IsZero() || now.Sub(d.told) >= dropPause {
		kind := EventDropped
		if dropReasons[i] == DropUnauthenticated {
			kind = EventUnauthenticated
		}
		b.emit(Event{Kind: kind, Reason: dropReasons[i], Node: node, Frames: d.untold, Err: err})
		d.told, d.untold = now, 0
	}
}
