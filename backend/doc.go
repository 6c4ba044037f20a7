// Package backend is the remote tier: a [Store] of records that all processes of an application share.
//
//	store, err := backend.Open(ctx, "redis://localhost:6379")
//
// opens one by URL; the program imports the packages of the backends it wants (backend/redis, backend/memcached,
// backend/hazelcast, backend/memory), and changing the URL is all it takes to change the server.
//
// Applications hand a Store to tier.New and rarely call its methods. What it stores are records (package
// backend/record), and there is no unconditional write of one: each write is a verb that says what it expects to find.
//
// # Keys
//
// A key is any string. Bytes other than printable ASCII, and '%' and '~', are percent-encoded; what is then longer than
// 200 bytes is replaced by '~' and its SHA-256. What is between the first '{' and the next '}' decides which server of
// several owns a key, and is shortened by itself where that is enough. [Store.Key] tells how a key is stored.
//
// # Tenants
//
// [Store.Prefix] is a view in a key space of its own, stored as "~name/key". Key spaces of different names, and a space and
// the one around it, have no key in common, whatever the bytes of both; only listing or deleting all of a space covers
// those within it. Views cost nothing: make one for each tenant, and give each what it needs, such as a cache of its own
// whose Options.Remote is the view.
//
// # Decorators
//
// [Store.With] puts a timeout, an [Observer] or any other driver around a Store. What comes out is a Store with the same
// capabilities, so decorators nest in any order, also with Prefix:
//
//	store = store.With(&backend.Options{Observer: metrics})
//	tenant := store.Prefix("acme").With(&backend.Options{Timeout: 20 * time.Millisecond})
//
// # Errors
//
// A server that cannot be reached is [ErrUnavailable], one that does not let the user do what was asked is [ErrDenied];
// neither is ever a missing record. A context's error is reported as it is. A write has a [driver.Outcome]: done, refused, unsent, or unknown, which means that it may still happen.
package backend
