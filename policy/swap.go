package policy

import (
	"context"

	"github.com/strata-cache/strata/internal/sentinel"
)

// ErrConflict is a [Swapper]'s answer that the source has something else by now, and was not changed.
var ErrConflict = sentinel.ErrConflict

// A Swapper is a [Store] that can make a change if nobody else has made one meanwhile, as by
//
//	UPDATE products SET name = $1, version = version + 1 WHERE id = $2 AND version = $3
//
// The cache's Update needs it under write-through: it is what makes it exact with any number of nodes, and beside writers that know
// nothing of the cache.
type Swapper[K comparable, V any] interface {
	// Swap makes change, which has no Version, if the source still has at its key what old says: what the Loader answered a moment
	// ago, with its Version if the Loader tells versions, or ErrNotFound. An error that is ErrConflict says that it has something
	// else, and that nothing was changed. Other errors are those of Store.
	Swap(ctx context.Context, old Answer[V], change Change[K, V]) error
}
