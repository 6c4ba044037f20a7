package pgfeed

// PruneAlways makes it prune after each look.
func (b *Outbox) PruneAlways() { b.pruneEvery = 0 }
