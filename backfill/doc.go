// Package backfill loads many keys into a cache, at a limited rate, with progress, and from where it was if it has to begin again:
//
//	report, err := backfill.Run(ctx, products, backfill.Keys[int64, Product](slices.Values(ids)), &backfill.Options[int64]{
//		Rate:       500,                              // keys a second
//		Checkpoint: backfill.File("products.backfill"), // begin after what was done
//	})
//
// # What is loaded
//
// A [Stream] is a sequence of items in an order that is the same each time, which can begin after a position. An item is a key, which the
// cache loads by its policy's loader as GetMany does: a batch costs one bulk read of the remote tier and one batch load, and what the
// cache has already costs only the former. Such a load is as coherent as any other: what was written meanwhile wins.
//
// Or an item has a value, for who reads keys and values by one query, or from a file. It takes the place of nothing that is there, and
// of nothing that was deleted or written while it is being stored. But it was read before: a change between that and now, whose
// invalidation is over, is not noticed, and the older value is served until its TTL ends. So give values where nobody writes, or where
// their TTL bounds what may be old, and else give keys.
//
// # What is done, and what is not
//
// A key is done when a tier has it, or the source says that there is none. What fails is tried again, after a pause that grows. What
// fails still is told to Options.Failed, and is done if that returns nil; without it the run goes on, and the [Checkpoint] stays before that
// key. So the next run begins with it again, and no key before a checkpoint was missed, also if the process was killed. Batches run beside
// each other, and the order of loading is not that of the stream.
package backfill
