package memo

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/tier"
)

// A List is ids that a cached function returns, with the objects that they name in a cache of their own: a change of an object
// touches no list, and one of a list no object. Its methods are safe for concurrent use.
type List[A any, ID comparable, V any] struct {
	ids     func(context.Context, A) ([]ID, error)
	objects *tier.Cache[ID, V]
	o       ListOptions
}

// ListOptions configures a List. The zero value leaves out what is gone.
type ListOptions struct {
	// FailMissing makes an object that is ErrNotFound an error of Objects and Page. Default false: it is left out, as
	// of a list that is a little older than the object's end.
	FailMissing bool
}

// NewList returns the list of what ids returns, which is the Call of a cached function, or another. objects are read by GetMany, so
// that those which are nowhere cost one batch load if its loader is a policy.BatchLoader. A List closes neither.
//
//	results := memo.NewList(search.Call, products, nil)
//	page, total, err := results.Page(ctx, query, 0, 20)
func NewList[A any, ID comparable, V any](ids func(context.Context, A) ([]ID, error), objects *tier.Cache[ID, V], o *ListOptions) *List[A, ID, V] {
	l := &List[A, ID, V]{ids: ids, objects: objects}
	if o != nil {
		l.o = *o
	}
	return l
}

// A Listed is one place of a list.
type Listed[ID comparable, V any] struct {
	ID ID
	tier.Entry[V]
}

// Objects returns the objects of the list for args in its order, duplicates included. It costs a call of ids, and one bulk read of
// the objects that this process does not have. If any of them is not known it returns none, and a *ListError.
func (l *List[A, ID, V]) Objects(ctx context.Context, args A) ([]V, error) {
	objects, _, err := l.Page(ctx, args, 0, -1)
	return objects, err
}

// Page is Objects for limit places from offset on, and returns how long the list is. What is left out makes a page shorter. Outside of the
// list there is nothing; a negative limit means all that follow. Pages of one list go together as long as its ids stay cached.
func (l *List[A, ID, V]) Page(ctx context.Context, args A, offset, limit int) (objects []V, total int, err error) {
	entries, total, err := l.Entries(ctx, args, offset, limit)
	if err != nil {
		return nil, 0, err
	}
	objects = make([]V, 0, len(entries))
	var failed *ListError
	for _, e := range entries {
		switch {
		case e.Err == nil:
			objects = append(objects, e.Value)
		case errors.Is(e.Err, ErrNotFound) && !l.o.FailMissing:
		case failed == nil:
			failed = &ListError{ID: e.ID, Err: e.Err, Failed: 1, Of: len(entries)}
		default:
			failed.Failed++
		}
	}
	if failed == nil {
		return objects, total, nil
	}
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	return nil, 0, failed
}

// Entries is Page with the id and the own error of each place: nothing is left out, and it fails only if the ids are not known.
func (l *List[A, ID, V]) Entries(ctx context.Context, args A, offset, limit int) (entries []Listed[ID, V], total int, err error) {
	ids, err := l.ids(ctx, args)
	if err != nil {
		return nil, 0, err
	}
	total = len(ids)
	ids = ids[min(max(offset, 0), total):]
	if limit >= 0 {
		ids = ids[:min(limit, len(ids))]
	}
	if len(ids) == 0 {
		return nil, total, nil
	}
	entries = make([]Listed[ID, V], len(ids))
	for i, e := range l.objects.GetMany(ctx, ids) {
		entries[i] = Listed[ID, V]{ids[i], e}
	}
	return entries, total, nil
}

// A ListError says that objects of a list are not known.
type ListError struct {
	ID     any   // of the first
	Err    error // why it is not
	Failed int   // how many are not
	Of     int   // that were asked for
}

func (e *ListError) Error() string {
	return fmt.Sprintf("memo: %d of %d objects of a list: the first is %.64q: %v", e.Failed, e.Of, fmt.Sprint(e.ID), e.Err)
}

func (e *ListError) Unwrap() error { return e.Err }
