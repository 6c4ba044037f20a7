// Package journal is where writes live that were accepted and that the source does not have yet, under policy.WriteBehind. It knows
// bytes only.
//
// A [Journal] holds a [Queue] for each cache. A queue is not a log of writes, but an index of the newest write of each key, and a
// list of the keys that have one:
//
//	Append ──▶ index: key ─▶ newest write ──▶ Take ──▶ the source ──▶ Done
//	              │ list: key (once)             │                      │ the write is still the newest: the key leaves the queue
//	              │                              │                      └ a newer one came meanwhile: the key is listed again
//	              └ a write of a key that is listed already takes the place of the older one
//
// From this follow the properties on which the rest stands. A key is listed once, so one worker at most has it, and the writes of a
// key reach the source in their order, however many processes take from the queue. What is merged are values and deletions alike:
// the source is told what the key is to have, not how it came to that. A queue is as long as there are keys, whatever the
// number of writes. A read that asks the index ([Queue.Pending]) before the source finds every accepted write.
//
// Each accepted write has a [Position], which grows with every write of the queue, and also beyond the loss of the journal's data as
// far as the clock of who counts does. It is the version by which a source refuses what is old: a worker that was paused for longer than
// [Options.TakeOver] may write again what another has written since.
//
// Packages redisjournal, filejournal and memjournal are journals; journaltest is the suite for them. [Work] takes writes from a
// queue and gives them to a function in batches.
package journal
