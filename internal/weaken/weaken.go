// Package weaken lets tests switch off, one by one, what keeps caches coherent: a test of a guarantee is worth something only if
// it fails without the mechanism behind it. The code asks [Off] where a mechanism begins; nothing but tests calls [Switch], which
// internal/archtest makes sure of. The path of a local hit never asks.
//
// The switches are the whole process's: a test that uses them runs beside no other.
package weaken

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// A Mechanism is one thing without which some old value would be served.
type Mechanism uint8

// The mechanisms. docs/guarantees.md says what each is for.
const (
	// Lease: a load may be stored only in the place of its own lease.
	Lease Mechanism = iota
	// EpochCheck: what was loaded before an invalidation is not kept.
	EpochCheck
	// BumpAfter: a writer bumps its own epoch again after its last remote step.
	BumpAfter
	// JoinCheck: a read joins only a flight that began late enough.
	JoinCheck
	// Fence: a writer puts a fence at the key before it writes.
	Fence
	// Replay: what was missed on the bus is asked for again, or all is given up.
	Replay
	// Trust: without heartbeats that come back nothing local is served.
	Trust
	// TrustGate: a heartbeat that comes back while the node catches up with what it missed extends no trust yet.
	TrustGate
	// IdentityFlush: another incarnation of the bus's log makes a node give its local tier up, however far that log has come.
	IdentityFlush
	// AnnounceAfter: a writer announces a second time, after its last remote step.
	AnnounceAfter
	// Ride: an announcement that travelled with a write and got no answer is made again by itself.
	Ride
	// NoBlindLocal: what was loaded without the remote tier's consent is not kept locally.
	NoBlindLocal
	// KeepFence: no step takes another writer out of a fence.
	KeepFence
	// SourceSettle: where the source's outcome is unknown the fence stays.
	SourceSettle
	// FenceTold: a fence counts only if the other nodes were told of it.
	FenceTold
	// Renewal: fences of writes under way are renewed.
	Renewal
	// Repair: what was not acknowledged is tried again until it is.
	Repair
	// RepairLog: what a process had to repair when it died the next one repairs.
	RepairLog
	// RepairBypass: until then the keys are read from the source.
	RepairBypass
	// TagPosition: a value's stamp is from before its load, not from when it is stored.
	TagPosition
	// TagIncarnation: stamps of other markers, as before they were lost, count as too old.
	TagIncarnation
	// TagMoment: what was found is judged by markers that are as new as what it is kept under.
	TagMoment
	// SoftCAS: a refresh takes the place of the very record that it found stale, and of no other.
	SoftCAS
	// RefreshElection: of all nodes one refreshes a stale value. It saves loads, and nothing is wrong without it.
	RefreshElection
	// KnownInvalid: who allows stale values gets none that this node knows to be invalid.
	KnownInvalid
	// Guard: what a server that came back with older data may lack is not used.
	Guard
	// Suspend: the clock of all deadlines counts the time during which the machine was suspended.
	Suspend
	// UpdateCompare: Update takes the place of the very record whose value it changed.
	UpdateCompare

	mechanisms // their number
)

var names = [mechanisms]string{
	Lease: "lease", EpochCheck: "epoch-check", BumpAfter: "bump-after", JoinCheck: "join-check", Fence: "fence", Replay: "replay",
	Trust: "trust", TrustGate: "trust-gate", IdentityFlush: "identity-flush",
	AnnounceAfter: "announce-after", Ride: "ride", NoBlindLocal: "no-blind-local", KeepFence: "keep-fence",
	SourceSettle: "source-settle", FenceTold: "fence-told", Renewal: "renewal", Repair: "repair", RepairLog: "repair-log", RepairBypass: "repair-bypass",
	TagPosition: "tag-position", TagIncarnation: "tag-incarnation", TagMoment: "tag-moment",
	SoftCAS: "soft-cas", RefreshElection: "refresh-election",
	KnownInvalid: "known-invalid", Guard: "guard", Suspend: "suspend",
	UpdateCompare: "update-compare",
}

func (m Mechanism) String() string {
	if m < mechanisms {
		return names[m]
	}
	return fmt.Sprintf("mechanism(%d)", uint8(m))
}

// All returns every mechanism.
func All() []Mechanism {
	all := make([]Mechanism, mechanisms)
	for i := range all {
		all[i] = Mechanism(i)
	}
	return all
}

// Parse finds mechanisms by their names, separated by commas; none in an empty list.
func Parse(list string) ([]Mechanism, error) {
	var found []Mechanism
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		i := slices.Index(names[:], name)
		if i < 0 {
			return nil, fmt.Errorf("weaken: no mechanism is called %q: there are %s", name, strings.Join(names[:], ", "))
		}
		found = append(found, Mechanism(i))
	}
	return found, nil
}

var off atomic.Uint64

// Off reports whether m is switched off.
func Off(m Mechanism) bool { return off.Load()&(1<<m) != 0 }

// Switch switches mechanisms off, and those only. The function that it returns puts back what was before.
func Switch(ms ...Mechanism) (restore func()) {
	var bits uint64
	for _, m := range ms {
		bits |= 1 << m
	}
	before := off.Swap(bits)
	return func() { off.Store(before) }
}
