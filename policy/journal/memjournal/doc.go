// Package memjournal keeps pending writes in the memory of the process.
//
//	policy.WriteBehind(table, memjournal.New(), nil)
//
// It is volatile: a write that was accepted, and that the source does not have yet, is lost when the process ends, however it ends. That
// is for values which may be lost, such as counters of views, and for tests. Packages filejournal and redisjournal are for all others.
//
// A [Hub] is what nodes share that run in one process, as in a test.
package memjournal
