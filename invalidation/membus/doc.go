// Package membus is a log within one process: a counter and the queues of those who listen. It serves programs whose caches
// share a process, tests, and the demo; it is also the shortest transport there is, to read before writing another.
//
//	hub := membus.NewHub()
//	a, b := membus.Bus(hub, nil), membus.Bus(hub, nil)   // two nodes
//
// A Hub can misbehave on demand, for tests of what lives on a bus: it loses frames (Drop), cuts subscriptions (Cut), holds
// deliveries back (Pause, Resume), is down (Stop, Start), or loses its log and registers (Restart). It starts no goroutine, and blocks on
// channels only, so that it works inside a testing/synctest bubble.
//
// Queues are bounded. A listener that falls behind by QueueLength deliveries loses them all and is subscribed anew. What was
// lost, to it or by a fault, is given again from the newest DefaultReach frames; beyond those (Reach sets how many there are)
// its caches are flushed.
package membus
