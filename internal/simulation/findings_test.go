package simulation

import (
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/weaken"
)

// Each test here is one way in which an old value could come to be served, played step by step: nothing happens with all
// mechanisms on, and the old value is served once the one that prevents it is off. They are not parallel: the switches are the
// process's.

// played runs items as they are, all calls taking the same short time, with m on and off. Off, a violation of the kind has to appear.
func played(t *testing.T, m weaken.Mechanism, kind string, items ...item) {
	t.Helper()
	playedWith(t, script{}, m, kind, items...)
}

// playedWith is played under what s says of the cache.
func playedWith(t *testing.T, s script, m weaken.Mechanism, kind string, items ...item) {
	t.Helper()
	holds(t, s, items)
	defer weaken.Switch(m)()
	breaks(t, s, m.String(), kind, items)
}

// holds checks that nothing happens.
func holds(t *testing.T, s script, items []item) {
	t.Helper()
	if out := playExactly(t, s, items); out.bad != nil {
		t.Errorf("with all mechanisms: %v\n%s", out.bad, strings.Join(out.trace, "\n"))
	}
}

// breaks checks that a violation of the kind appears.
func breaks(t *testing.T, s script, without, kind string, items []item) {
	t.Helper()
	out := playExactly(t, s, items)
	if out.bad == nil {
		t.Errorf("without %s no old value is served:\n%s", without, strings.Join(out.trace, "\n"))
	} else if out.bad.Kind != kind {
		t.Errorf("without %s: %v, want %q\n%s", without, out.bad, kind, strings.Join(out.trace, "\n"))
	}
}

func playExactly(t *testing.T, s script, items []item) outcome {
	t.Helper()
	s.Seed, s.Keys, s.Lossy, s.Exact, s.Items = 1, 1, true, true, items
	for i := range items {
		items[i].Seed |= uint64(6*i + 1) // odd: no reads but those of the script; what is pending is left to the cache
	}
	return run(t, &s, true)
}

const (
	stale    = "stale"
	ownWrite = "own write"
	forever  = "forever"

	replySlow = 1 << 10 // for Seed: it is the source's reply that is slow, not the write itself
)

// A reader of the writing node takes the old value from the remote tier between the first bump and the Delete, and nothing
// would ever kill it.
func TestFinding01TheOwnLocalTierKeepsNoOldValue(t *testing.T) {
	played(t, weaken.BumpAfter, ownWrite,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(200), Node: 0, Op: invalidate, SlowCall: 1, SlowBy: ms(50)}, // the Delete takes its time
		item{At: ms(220), Node: 0, Op: get},
		item{At: ms(300), Node: 0, Op: get},
	)
}

// A read that begins after a write joins a load that began before it.
func TestFinding02NobodyJoinsALoadFromBeforeTheWrite(t *testing.T) {
	played(t, weaken.JoinCheck, ownWrite,
		item{At: ms(100), Node: 0, Op: get, SlowLoad: ms(300)},
		item{At: ms(150), Node: 0, Op: invalidate},
		item{At: ms(200), Node: 0, Op: get},
	)
}

// The first announcement of a write does not get through; the source is written all the same.
func TestFinding03AWriteIsAnnouncedAgainAfterTheSource(t *testing.T) {
	played(t, weaken.AnnounceAfter, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(150), Op: busDown, For: ms(300)},
		item{At: ms(200), Node: 0, Op: within, SlowLoad: ms(500)},
	)
}

// A node that cannot reach the remote tier, and so does not see the fence, loads between the announcement and the commit. The
// writer dies before it can announce anything else.
func TestFinding03WhatIsLoadedWithoutConsentIsNotKept(t *testing.T) {
	playedWith(t, script{Through: true, Refuse: true}, weaken.NoBlindLocal, forever,
		item{At: ms(100), Node: 0, Op: get}, // so that its calls below are the fence and the value
		item{At: ms(150), Node: 1, Op: cutRemote, For: ms(500)},
		item{At: ms(200), Node: 0, Op: set, SlowLoad: ms(300), CrashCall: 2},
		item{At: ms(210), Node: 1, Op: get},
	)
}

// What one writer has to store is late, and another has written meanwhile.
func TestFinding04AValueThatIsLateFindsItsFenceTouched(t *testing.T) {
	playedWith(t, script{Through: true}, weaken.Fence, stale,
		item{At: ms(200), Node: 0, Op: set, SlowLoad: ms(300), Seed: replySlow},
		item{At: ms(250), Node: 1, Op: set},
		item{At: ms(1200), Node: 2, Op: get},
	)
}

// A client repeats, after a time, what it has sent: the lease stands again, though the key was invalidated, and its fill finds it.
// What prevents it is that drivers send once, so here a client that does not takes their place.
func TestFinding05NoTokenIsSentTwice(t *testing.T) {
	items := []item{
		{At: ms(100), Node: 1, Op: get, Repeat: ms(300)},
		{At: ms(200), Node: 0, Op: invalidate},
		{At: ms(1000), Node: 2, Op: get},
	}
	holds(t, script{}, items)
	breaks(t, script{Resends: true}, "sending once", stale, items)
}

// Somebody invalidates a key at which a writer has its fence, and a reader fills it; then the writer commits, and dies.
func TestFinding07ADeleteLeavesTheFenceOfAnother(t *testing.T) {
	playedWith(t, script{Through: true, Refuse: true}, weaken.KeepFence, forever,
		item{At: ms(100), Node: 0, Op: get},
		item{At: ms(200), Node: 0, Op: set, SlowLoad: ms(300), CrashCall: 2},
		item{At: ms(300), Node: 1, Op: invalidate},
		item{At: ms(350), Node: 2, Op: get},
	)
}

// The source reports an error, and takes the write all the same, later.
func TestFinding08AWriteOfUnknownOutcomeKeepsItsFence(t *testing.T) {
	playedWith(t, script{Through: true}, weaken.SourceSettle, forever,
		item{At: ms(200), Node: 1, Op: set, Source: lands, SourceLate: ms(120)},
		item{At: ms(230), Node: 2, Op: get},
	)
}

// The announcement is lost on its way to one node, without a cut, and its publisher dies before it says anything else.
func TestFinding09ALostMessageIsNoticedThoughItsPublisherDied(t *testing.T) {
	played(t, weaken.Replay, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(140), Node: 1, Op: hole, For: ms(20)},
		item{At: ms(142), Node: 0, Op: invalidate},
		item{At: ms(150), Node: 0, Op: crash, For: ms(2000)},
		item{At: ms(900), Node: 1, Op: get},
	)
}

// The log falls back and grows again, beyond where a node was that was cut off.
func TestFinding11ALogThatBeganAnewIsAnotherLog(t *testing.T) {
	played(t, weaken.IdentityFlush, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(140), Node: 1, Op: cutBus, For: ms(560)},
		item{At: ms(150), Op: busLose},
		item{At: ms(160), Node: 0, Op: invalidate},
		item{At: ms(1300), Node: 1, Op: get},
	)
}

// The remote tier comes back as it was before a Delete, whose writer has died since.
func TestFinding12AServerThatCameBackServesNothingThatWasDeleted(t *testing.T) {
	playedWith(t, script{Rewinds: true}, weaken.Guard, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(150), Op: restore, For: ms(400)},
		item{At: ms(200), Node: 0, Op: invalidate},
		item{At: ms(250), Node: 0, Op: crash, For: ms(3000)},
		item{At: ms(900), Node: 2, Op: get},
	)
}

// The Delete of a write gets no answer. Until it is repaired the writing node reads its own old value from the remote tier.
func TestFinding13AKeyInDoubtIsReadFromTheSource(t *testing.T) {
	played(t, weaken.RepairBypass, ownWrite,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(200), Node: 0, Op: invalidate, SlowCall: 1, SlowBy: ms(400)}, // so that the doubt is there before the Delete
		item{At: ms(340), Node: 0, Op: cutRemote, For: ms(1)},
		item{At: ms(351), Node: 0, Op: downtime, For: ms(3)},
		item{At: ms(354), Node: 0, Op: get},
	)
}

// A node goes on after a pause, and the first that runs is a read. It looks at the clock by itself, whatever has not run yet: a switch
// for that would have to be asked at each local hit, so what is switched off is the deadline.
func TestFinding14AReadAfterAPauseLooksAtTheClock(t *testing.T) {
	played(t, weaken.Trust, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(140), Node: 1, Op: pause, For: time.Second},
		item{At: ms(420), Node: 0, Op: invalidate},
		item{At: ms(1000), Node: 1, Op: get}, // it waits for the end of the pause
	)
}

// The record of markers is lost, and begun anew by a node that knew nothing. Its numbers are lower than those of before.
func TestFinding15AStampOfOtherMarkersIsDead(t *testing.T) {
	played(t, weaken.TagIncarnation, ownWrite,
		item{At: ms(100), Node: 0, Op: get},
		item{At: ms(150), Node: 0, Op: tag},
		item{At: ms(200), Node: 0, Op: tag},
		item{At: ms(220), Node: 0, Op: get}, // it knows the markers, and need not look again
		item{At: ms(250), Op: lose},
		item{At: ms(260), Node: 0, Op: skipLocal},
		item{At: ms(300), Node: 1, Op: tag},
		item{At: ms(320), Node: 1, Op: get},
	)
}

// A reader finds a value dead, and the lease in its place is refused: another node has loaded meanwhile. What that stored is dead
// too, by an invalidation that the reader has heard of, but that is not in the markers which came with the dead value. Seed 15554.
func TestFinding15AValueThatCameMeanwhileIsJudgedByMarkersAsNew(t *testing.T) {
	played(t, weaken.TagMoment, stale,
		item{At: ms(100), Node: 0, Op: get},
		item{At: ms(150), Node: 1, Op: tag},
		item{At: ms(200), Node: 2, Op: get, SlowCall: 1, SlowBy: ms(40), SlowReply: true},
		item{At: ms(205), Node: 0, Op: get},
		item{At: ms(220), Node: 0, Op: tag},
		item{At: ms(900), Node: 2, Op: get},
	)
}

// A fence is lost with the remote tier's data, and another node fills the key before the source is written.
func TestFinding16WhereTheFenceIsGoneTheKeyIsEmptied(t *testing.T) {
	playedWith(t, script{Through: true}, weaken.AnnounceAfter, stale,
		item{At: ms(200), Node: 0, Op: set, SlowLoad: ms(300)},
		item{At: ms(250), Op: lose},
		item{At: ms(260), Node: 1, Op: get},
		item{At: ms(1300), Node: 1, Op: get},
	)
}

// A writer has its fence, and cannot tell anybody. It dies after the source was written.
func TestFinding18AFenceOfWhichNobodyWasToldIsNone(t *testing.T) {
	playedWith(t, script{Through: true, Refuse: true}, weaken.FenceTold, forever,
		item{At: ms(100), Node: 0, Op: get},
		item{At: ms(110), Node: 1, Op: get},
		item{At: ms(190), Node: 0, Op: cutBus, For: ms(160)},
		item{At: ms(200), Node: 0, Op: set, SlowLoad: ms(300), CrashCall: 2},
	)
}

// A node that allows stale values has one that it has invalidated itself.
func TestFinding23WhatIsKnownToBeInvalidIsNotStale(t *testing.T) {
	played(t, weaken.KnownInvalid, ownWrite,
		item{At: ms(100), Node: 0, Op: get},
		item{At: ms(200), Node: 0, Op: invalidate},
		item{At: ms(300), Node: 0, Op: allowStale},
	)
}

// A write gets no answer and never arrives. Somebody has to say it again.
func TestAWriteThatIsPendingIsRepaired(t *testing.T) {
	played(t, weaken.Repair, forever,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(200), Node: 0, Op: cutRemote, For: ms(400)},
		item{At: ms(210), Node: 0, Op: invalidate},
	)
}

// The same, and its node dies before it can.
func TestAWriteThatIsPendingIsRepairedAfterADeath(t *testing.T) {
	playedWith(t, script{Logged: true}, weaken.RepairLog, forever,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(200), Node: 0, Op: cutRemote, For: ms(400)},
		item{At: ms(210), Node: 0, Op: invalidate},
		item{At: ms(500), Node: 0, Op: crash, For: ms(200)},
	)
}

// No fence could be placed, the source gave no answer, and the node died. The next process repairs; then the source has it.
func TestARepairAfterADeathWaitsForTheSource(t *testing.T) {
	playedWith(t, script{Through: true, Logged: true}, weaken.SourceSettle, forever,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(120), Node: 0, Op: get}, // so that it knows the markers
		item{At: ms(190), Node: 0, Op: cutRemote, For: ms(200)},
		item{At: ms(200), Node: 0, Op: set, Source: lands, SourceLate: ms(300)},
		item{At: ms(400), Node: 0, Op: crash, For: ms(40)},
		item{At: ms(500), Node: 1, Op: get},
	)
}

// The Delete is done, and the announcement that travelled with it gets lost behind it.
func TestAnAnnouncementThatRodeInVainIsMadeAgain(t *testing.T) {
	playedWith(t, script{Rides: true}, weaken.Ride, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(199), Node: 0, Op: cutBus, For: ms(10)},
		item{At: ms(200), Node: 0, Op: invalidate},
		item{At: ms(1200), Node: 1, Op: get},
	)
}

// The node does not hear the bus any more, and is not told so.
func TestASilentBusEndsLocalHits(t *testing.T) {
	played(t, weaken.Trust, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(140), Node: 1, Op: cutBus, For: time.Second},
		item{At: ms(200), Node: 0, Op: invalidate},
		item{At: ms(900), Node: 1, Op: get},
	)
}

// A load straddles a write, on a node that does not hear of it: it read the source before, and would be stored after.
func TestALoadThatStraddlesAWriteIsNotStored(t *testing.T) {
	played(t, weaken.Lease, stale,
		item{At: ms(100), Node: 1, Op: get, SlowLoad: ms(200)},
		item{At: ms(190), Node: 1, Op: cutBus, For: ms(200)},
		item{At: ms(200), Node: 0, Op: invalidate},
		item{At: ms(1000), Node: 2, Op: get},
	)
}

// The same, of a node that has the remote tier's answer but is slow to keep it.
func TestALoadThatStraddlesAWriteIsNotKept(t *testing.T) {
	played(t, weaken.EpochCheck, stale,
		item{At: ms(100), Node: 1, Op: get},
		item{At: ms(200), Node: 2, Op: get, SlowCall: 1, SlowBy: ms(100), SlowReply: true},
		item{At: ms(250), Node: 0, Op: invalidate},
		item{At: ms(1000), Node: 2, Op: get},
	)
}
