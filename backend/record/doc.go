// Package record is what the remote tier holds at a key, and every change that may be made to it.
//
// A record is a header of [HeaderLen] bytes and a body:
//
//	offset  bytes  field
//	0       1      version, see [Version]
//	1       1      kind, see [Kind]
//	2       1      flags, see [Flags]
//	3       16     token
//	19      8      expiry, unix milliseconds, big endian
//	27      …      body: of a value what its cache put there, of a fence the set of writers' tokens, of a lease nothing
//
// These places are fixed for ever, whatever the version: a node that knows only an older version can still compare the
// token of what it finds, and take care not to harm a fence.
//
// # Steps
//
// A [Step] is one change, and [Apply] is the whole state machine: a pure function from what is there to what shall be
// there. A backend that has only a compare-and-swap of its own runs it in a loop; Redis has the same rules as a script,
// and a test compares the two on random histories.
//
//	            nothing      value         lease         fence
//	Add         → record     refused       refused       refused
//	Swap        refused      by token      by token      by token
//	Remove      refused      by token      by token      by token
//	Place       → fence      → fence       → fence       joins, dirty, new token
//	Leave       (done)       → nothing     → nothing     takes its own writer out; what is left is dirty, new token
//	Delete      (done)       → nothing     → nothing     dirty, new token
//	Renew       refused      sets expiry   later expiry  later expiry, if the writer is in it
//
// The token of a fresh fence is its writer's, and any other writer that touches the fence gives it a new one. So "the
// fence is clean and holds exactly mine" is simply "its token is mine", which is what Swap compares. No step removes
// a fence unconditionally.
//
// # Expiry
//
// A record that has expired counts as nothing. A fence is given [FenceSlack] beyond its expiry, since it is the one
// record whose early end could let an old value in; clocks that differ by more than that are outside what is promised
// on backends that judge by the caller's clock.
package record
