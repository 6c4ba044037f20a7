// Package memo caches the results of functions, by their name and arguments:
//
//	rates, err := memo.New2("exchange-rate", fetchRate, &memo.Options{Remote: store, Bus: bus, TTL: time.Hour, SoftTTL: time.Minute})
//	defer rates.Close()
//	rate, err := rates.Call(ctx, "EUR", "USD") // has the signature of fetchRate
//	err = rates.Invalidate(ctx, "EUR", "USD")
//
// A cached function is a [tier.Cache] whose keys are made of arguments, with all that this promises: one call for all who miss at
// the same time, here and in other processes; a stale result is served while the function is called behind; and after an
// invalidation no process serves an older result for longer than MaxStaleness. docs/guarantees.md says more.
//
// # Which constructor
//
// [New], [New2] and [New3] are for functions of one, two and three arguments; one of more takes a struct. [NewDeep] is for an argument
// that == does not compare, such as a slice or a map. If the arguments are strings, integers, bools, and arrays and structs of such,
// a local hit allocates nothing. Others are written as a key by each call, at two allocations or a few more.
//
// # Keys
//
// What is written for arguments is the same in every build, on every machine, and different for different arguments:
//
//	(Country=s2:de,Limit=i:10,)
//
// Each value has its kind with it, and can be read back: int64(1), "1", uint8(1) and true differ, as do nil and an empty slice, or
// ["a,b"] and ["a" "b"], or 0.0 and -0.0. The fields of a struct are written by name, so their order does not matter, and one that
// is renamed, or gets another kind, makes another key. Names of types do not count. Pointers are written as what they point to, maps in the
// order of their keys. What is longer than 128 bytes is a SHA-256.
//
// A type that hides its fields is written as its text, if it is both an encoding.TextMarshaler and an encoding.TextUnmarshaler;
// different values need different texts. The text of other types is not asked: it may leave something out, as that of a
// password does. What has no form that stays the same is an [*ArgumentError]: of New for a function, a channel, an interface, a
// uintptr or an unsafe.Pointer, or a field that is not exported; of a call for a value within itself, a NaN as the key of a map, and more than 64 KiB
// (of arguments that need NewDeep, or hold floats, pointers or times).
//
// A time.Time is written as its moment, its offset and the abbreviation of its zone, without its monotonic reading. Where arguments are
// written by each call, the function gets what can be read back, as copies: a time has a fixed zone, and whoever changes
// what he passed changes nothing here.
//
// Keys hold the arguments as they are, save where they are a SHA-256: what must not be read at the server does not belong into arguments.
//
// # Variants
//
// A variant is something by which results are invalidated together: a country, a language, a tenant. A field declares it by its tag, and
// [ByArgs] computes it from the arguments.
//
//	type Query struct {
//		Country string `memo:"variant"`
//		Text    string
//	}
//	err = search.InvalidateVariant(ctx, "country", "de", "at") // one step, however many results there are
//
// What a function takes from its context is not among its arguments, so nobody knows of it, and callers would get each other's results.
// [ByContext] declares it: the value becomes part of the key, and the function is called with a context that holds it. Declare
// all that results depend on; what is not declared is that of the first of several callers, and absent behind a stale result.
//
// # Lists
//
// A [List] hydrates: a cached function returns ids, and the objects come from a cache of their own, in the order of the ids.
//
// # Errors
//
// Those of the function are not kept, save an [ErrNotFound] for Options.NegativeTTL. Otherwise errors are those of package tier.
package memo
