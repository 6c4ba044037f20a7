// Package history judges what the nodes of a cache did: it is given every commit at the source, every write that a node
// acknowledged, every read, and says which reads were older than what was promised. It does no I/O and knows no cache.
//
// The source numbers the versions of each key in the order of their commits, so that which of two values is newer is
// never in doubt. All times are of one clock, in nanoseconds; a read counts from when it was called, an acknowledgement
// from when the call had returned, so that the recording itself excuses nothing and accuses nobody.
//
// An acknowledged write covers a version: its own, and every one that was committed before the write was called. From
// then on a read is
//
//   - stale, if it was called more than the bound after a newer version was covered, on whichever node;
//   - older than an own write, if a newer version was covered by a write of its own process;
//   - not fresh, if it had to be, and was called after a newer version was covered;
//   - stale at the end, if after all faults and a wait, it is older than what was ever covered;
//   - unrepaired, if after the same wait it is older than a write that failed, and whose process still lives: its outcome was
//     unknown, and must not stay so;
//   - impossible, if its version was not committed when it returned, or the value is another key's.
//
// A write that was never acknowledged covers nothing. Whoever died before it was has promised nothing either: what such
// writes leave behind at the end is counted as excused.
//
// A read that is older than one that had ended before on the same process is counted as backwards: within the bound that
// is allowed.
//
// A value that is stated before it is committed cannot say its version: it says a name, which its commit has too.
//
// A node reads far more often than anything changes. [Recorder] therefore keeps runs: reads of one version of one key, with the
// time of the first and of the last call. What is promised only grows, so that of reads with equal results the last call is
// the one to be judged, and a run loses no violation.
package history
