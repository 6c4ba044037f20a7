package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Funcs are a source made of plain functions, for who does not want to declare a type. Any of them may be nil:
//
//	policy.CacheAside(policy.Funcs[int64, Product]{Load: selectProduct, LoadMany: selectProducts}.Loader())
//	policy.WriteThrough(policy.Funcs[int64, Product]{Load: selectProduct, Store: upsertProduct, Delete: deleteProduct}.Source())
//
// What [Funcs.Loader] and [Funcs.Source] return has the abilities of the functions that are there, and no others. Where one is missing
// that must be there, a more general one does its work: LoadMany, then Refresh, that of Load, and StoreMany that of Store and Delete. Where
// there is none of these either, the call fails with ErrUnsupported, and writes nothing.
//
// Each function is called as the method of that name: see [Loader], [BatchLoader], [Refresher], [Store], [BatchStore] and [Swapper].
type Funcs[K comparable, V any] struct {
	Load     func(ctx context.Context, key K) (V, error)
	LoadMany func(ctx context.Context, keys []K) ([]Answer[V], error)
	Refresh  func(ctx context.Context, key K, held *Answer[V]) Answer[V]

	Store     func(ctx context.Context, key K, value V) error
	Delete    func(ctx context.Context, key K) error
	StoreMany func(ctx context.Context, changes []Change[K, V]) error
	Swap      func(ctx context.Context, old Answer[V], change Change[K, V]) error
}

// Loader returns what reads by f. It is no [Store].
func (f Funcs[K, V]) Loader() Loader[K, V] {
	l := loads[K, V]{f}
	if f.LoadMany != nil {
		return struct {
			loads[K, V]
			loadsMany[K, V]
		}{l, loadsMany[K, V]{f}}
	}
	return l
}

// Source returns what reads and writes by f.
func (f Funcs[K, V]) Source() Source[K, V] {
	type (
		L  = loads[K, V]
		LM = loadsMany[K, V]
		S  = stores[K, V]
		SM = storesMany[K, V]
		SW = swaps[K, V]
	)
	l, lm, s, sm, sw := L{f}, LM{f}, S{f}, SM{f}, SW{f}
	// An ability is a method, so each set of them is a type.
	switch many, batch, swap := f.LoadMany != nil, f.StoreMany != nil, f.Swap != nil; {
	case many && batch && swap:
		return struct {
			L
			LM
			S
			SM
			SW
		}{l, lm, s, sm, sw}
	case many && batch:
		return struct {
			L
			LM
			S
			SM
		}{l, lm, s, sm}
	case many && swap:
		return struct {
			L
			LM
			S
			SW
		}{l, lm, s, sw}
	case batch && swap:
		return struct {
			L
			S
			SM
			SW
		}{l, s, sm, sw}
	case many:
		return struct {
			L
			LM
			S
		}{l, lm, s}
	case batch:
		return struct {
			L
			S
			SM
		}{l, s, sm}
	case swap:
		return struct {
			L
			S
			SW
		}{l, s, sw}
	}
	return struct {
		L
		S
	}{l, s}
}

func missing(name string) error {
	return fmt.Errorf("policy: there is no function %s: %w", name, sentinel.ErrUnsupported)
}

// loads is a Loader and Refresher.
type loads[K comparable, V any] struct{ f Funcs[K, V] }

func (l loads[K, V]) Load(ctx context.Context, key K) (V, error) {
	if l.f.Load != nil {
		return l.f.Load(ctx, key)
	}
	a := l.Refresh(ctx, key, nil)
	return a.Value, a.Err
}

func (l loads[K, V]) Refresh(ctx context.Context, key K, held *Answer[V]) (a Answer[V]) {
	switch {
	case l.f.Refresh != nil:
		return l.f.Refresh(ctx, key, held)
	case l.f.LoadMany != nil:
		answers, err := l.f.LoadMany(ctx, []K{key})
		if err == nil && len(answers) != 1 {
			err = fmt.Errorf("policy: LoadMany: %d answers for 1 key", len(answers))
		}
		if err != nil {
			return Answer[V]{Err: err}
		}
		return answers[0]
	case l.f.Load == nil:
		return Answer[V]{Err: missing("Load")}
	}
	if held != nil {
		a.Tags = held.Tags // it cannot tell of others
	}
	a.Value, a.Err = l.f.Load(ctx, key)
	return a
}

type loadsMany[K comparable, V any] struct{ f Funcs[K, V] }

func (l loadsMany[K, V]) LoadMany(ctx context.Context, keys []K) ([]Answer[V], error) {
	return l.f.LoadMany(ctx, keys)
}

type stores[K comparable, V any] struct{ f Funcs[K, V] }

func (s stores[K, V]) Store(ctx context.Context, key K, value V) error {
	if s.f.Store != nil {
		return s.f.Store(ctx, key, value)
	}
	return s.one(ctx, "Store", Change[K, V]{Key: key, Value: value})
}

func (s stores[K, V]) Delete(ctx context.Context, key K) error {
	if s.f.Delete != nil {
		return s.f.Delete(ctx, key)
	}
	return s.one(ctx, "Delete", Change[K, V]{Key: key, Delete: true})
}

func (s stores[K, V]) one(ctx context.Context, name string, change Change[K, V]) error {
	if s.f.StoreMany == nil {
		return errors.Join(missing(name), ErrNotWritten)
	}
	return s.f.StoreMany(ctx, []Change[K, V]{change})
}

type storesMany[K comparable, V any] struct{ f Funcs[K, V] }

func (s storesMany[K, V]) StoreMany(ctx context.Context, changes []Change[K, V]) error {
	return s.f.StoreMany(ctx, changes)
}

type swaps[K comparable, V any] struct{ f Funcs[K, V] }

func (s swaps[K, V]) Swap(ctx context.Context, old Answer[V], change Change[K, V]) error {
	return s.f.Swap(ctx, old, change)
}
