// Package simulation attacks the coherence of caches: the real tier.Cache, invalidation.Bus and stores in memory, three nodes of
// them in one testing/synctest bubble, where time is virtual and everything that takes time takes a time drawn from a seed. So
// a seed is an interleaving: of reads, writes, loads and heartbeats, and of what befalls them: lost, late, repeated and reordered
// messages, cuts, pauses, crashes, servers that restart without their data.
//
// Each read is judged by the history: whether a newer value was acknowledged more than MaxStaleness before it began, or on the
// same node before it began. What is found is minimised and printed with its seed. CONTRIBUTING.md says how to search on, and
// how to replay.
//
// It is made of tests alone.
package simulation
