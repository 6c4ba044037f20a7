// Package redisjournal is a journal of pending writes on Redis, be it one server, Sentinel or Cluster: what one node has
// accepted any other may write to the source.
//
//	pending, err := redisjournal.New(store, nil)                          // on the client of a Redis store
//	pending, err := redisjournal.Open(ctx, "redis://localhost:6379", nil) // with a client of its own
//	defer pending.Close()
//
// It needs Redis 6.2 or later.
//
// # On the server
//
// A queue is six keys in one slot:
//
//	{strata-journal:NAME}:heads    hash: key → position, when it was accepted, counters, where it is listed
//	{strata-journal:NAME}:bodies   hash: key → id, deletion or not, the source's key, value
//	{strata-journal:NAME}:list     stream with one entry for each key that is pending or taken; the consumer group "workers"
//	{strata-journal:NAME}:held     hash: keys that are taken and have no pending write, as it was buried
//	{strata-journal:NAME}:dead     hash: key → dead letter
//	{strata-journal:NAME}:meta     hash: the last position, how many writes were merged
//
// Each step is one script, so none is ever half done: [journal.Queue.Append] of any number of writes is one command up to a thousand
// writes or 4 MiB, and writes that are appended while others travel leave together. Each queue that takes is a consumer of the
// group. What a consumer has it owns by the entry and its delivery: whoever was taken over changes nothing any more. The
// consumer "free" has what was given back, and is served first. Waiting is XREADGROUP for "free", on a connection of its own: a
// connection that ends just then takes nothing along.
//
// # Time
//
// A write that is not accepted in time must never be, also not when its command sat in the buffer of a server that was stopped. So each
// command tells until when, by the server's own clock, whose time is known from earlier answers; the script refuses what is late. That
// holds while nobody sets the server's clock back. A clock that jumps ahead makes others take over too early, which duplicates
// writes and loses none.
//
// # What a server must be
//
// A server that may evict the journal's keys (maxmemory with a policy allkeys-…) or has no append-only file is refused with a
// [*VolatileError], unless Options.AllowVolatile: see docs/journals.md for what can be lost all the same. That is looked at on each new
// connection.
//
// # Failures
//
// Nothing is sent twice. A write whose answer did not come has an unknown outcome; all that is known not to be accepted says
// [journal.ErrNotWritten]. Take waits while servers are down. A queue whose group, list or entries were lost in part is mended by who
// takes from it: what has an entry is listed again within minutes.
package redisjournal
