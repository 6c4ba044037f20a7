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
// 200 bytes is replaced by '~' and its SHA-256, behind the name of its key space ([Store.Prefix]), so that listing a
// space finds all its keys. What is between the first '{' and the next '}' decides which server of several owns a key,
// and is shortened by itself where that is enough.
//
// # Errors
//
// A server that cannot be reached is [ErrUnavailable], never a missing record. A context's error is reported as it is.
// A write has an [driver.Outcome]: done, refused, unsent, or unknown, which means that it may still happen.
package backend
