// Package strata is a multi-tier cache framework: a decoded in-process tier in front of a shared remote tier, kept coherent
// by an invalidation bus.
//
// There is no code here. Applications import
//
//   - package tier, the front door: [github.com/strata-cache/strata/tier];
//   - one of backend/redis, backend/memcached, backend/hazelcast and backend/memory for the remote tier;
//   - one of invalidation/redisbus, invalidation/hazelcastbus, invalidation/memcachedbus and invalidation/membus for the bus;
//   - package policy, which says how a cache relates to its source;
//   - or package config, which makes all of these from a file.
//
// docs/architecture.md shows how they fit together, and docs/guarantees.md what they promise.
package strata
