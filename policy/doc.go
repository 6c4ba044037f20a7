// Package policy says how a cache relates to its source of truth. A [Policy] is data, on which package tier acts:
//
//	policy.CacheAside(policy.LoaderFunc[int64, Product](selectProduct))
//
// reads through a [Loader]: a miss loads the value and keeps it. The application writes its source itself and calls
// Invalidate afterwards.
//
//	policy.WriteThrough(productTable)
//
// also writes through a [Store]: Set and Delete of the cache write the source first, and return when it has the change.
//
//	policy.WriteBehind(productTable, journal, nil)
//
// writes through a journal: Set and Delete return when the journal has the change, and the Store gets it behind, in batches. Package
// journal tells how.
//
// A Loader that can do more says so by further methods, found by assertion: a [BatchLoader] loads many keys in one
// request, a [Refresher] may answer with a TTL, tags and a version, or that nothing changed. Likewise a Store may be a [BatchStore],
// which makes many changes in one request, or a [Swapper], which makes one if nobody else has made one meanwhile. [Funcs] makes any of
// these of plain functions.
//
// A loader reports a key that its source does not have by an error that is [ErrNotFound], which is an answer and may
// itself be cached. Any other error means that it does not know. A store likewise reports a change that surely was not made by an
// error that is [ErrNotWritten].
package policy
