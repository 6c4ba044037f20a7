// Package pgfeed tells of the changes of PostgreSQL's tables, whoever made them.
//
//	setup, err := pgfeed.SetupSQL("")                        // once, by a migration
//	watch, err := pgfeed.WatchSQL("", "shop.products", "id") // and for each table
//
//	outbox, err := pgfeed.NewOutbox("postgres://app@db/shop", "products-cache", handler, nil)
//	err = outbox.Run(ctx) // until ctx ends
//
// It needs PostgreSQL 13 or newer; 15 is tested. docs/feeds.md compares the two feeds and lists limits.
//
// # The outbox
//
// Triggers write each change of a watched table to a table beside it, in the transaction that makes the change: both are there or
// neither. [Outbox] reads that table and tells its handler of what is new. What the handler has taken is noted in the
// database, under the consumer's name, once it has returned; so a change is told at least once, whatever is killed, and is told
// again if the note was lost. Notifications wake the reader; without one it looks each Options.Interval.
//
// # No change is skipped
//
// The rows of the outbox are numbered when they are written and can be seen when their transaction commits, in another order. A
// reader that remembers the last number skips, for ever, a transaction that took its numbers early and commits late:
//
//	transaction 7   insert: row 1 ────────────────────────▶ commit
//	transaction 8            insert: row 2 ─▶ commit
//	reader                                       reads 2       reads from 3 on
//
// So the position of a consumer is no number but a snapshot, as PostgreSQL has it: which transactions could be seen. Each row holds
// the ID of its transaction, and what is new is what could not be seen in the snapshot of last time: transactions that
// were under way then, or had no ID yet. That is exact: nothing is skipped, nothing waits for the slowest transaction, and nothing is
// told twice but after a failure. Changes are told in the order of their rows, so two changes of one row come as they were made.
//
// IDs of transactions mean nothing in another history of the database. The position holds the server's identity and timeline;
// where they are others, as after a failover, or when a dump was restored elsewhere, the handler is told that it Missed changes: the
// database may have lost some of which the caches know. The same if the consumer is new, was away for longer
// than Options.Retention, or has more than Options.MaxBacklog changes before it.
//
// # Notifications alone
//
// [Listener] needs no table: triggers notify the changes themselves. What is notified while it is not connected is lost, so at
// each connection the handler is told that it Missed some. A connection that has died is noticed in Options.Interval and
// Options.Timeout; until then caches hear nothing.
//
// # Failures
//
// Run never gives up: it connects anew, after up to two seconds, and Options.OnError hears why. An error or panic of the handler is such
// a failure, too. Of the processes that run the same consumer one reads, by an advisory lock of its connection; another one
// takes over when that connection ends, within some 20 seconds if its process or network vanished.
package pgfeed
