// Package fault decorates a driver with faults: for tests of what stands above one, and for trying out how an application
// lives with a server that fails.
//
// An [Injector] is asked about each operation at each key, and answers with the [Fault] that befalls it. A Fault is an
// Injector itself, predicates say when, and all of them print as they read:
//
//	inj := fault.First(
//		fault.Fail(nil).If(fault.And(fault.On(fault.Place), fault.Nth(3))),
//		fault.Lose(nil).If(fault.And(fault.On(fault.Writes), fault.Randomly(0.1, seed))),
//	)
//	store = store.With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return fault.Wrap(d, inj) }})
//
// # What can befall a write
//
//	            happens   the caller is told
//	Fail        never     unsent
//	Drop        never     unknown
//	Lose        now       unknown
//	Late        later     unknown
//	Again       now, and once more later   what became of it now
//
// A server that is down is Fail of everything; a network that is cut is Drop, Lose and Late of some; a client or network that
// repeats what it sent is Again. Reads that are befallen by any of these, except Again, have an error: never a miss. Only
// [Lie] changes what a read finds, for tests of those who must not trust it.
//
// The decorator implements every capability that the driver below has, so nothing goes around it. In one bulk call each key
// meets its own fault; what none befalls still goes in one round trip.
package fault
