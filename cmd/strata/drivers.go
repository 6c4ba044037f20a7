package main

// Each of these registers its URL scheme with package backend.
import (
	_ "github.com/strata-cache/strata/backend/hazelcast"
	_ "github.com/strata-cache/strata/backend/memcached"
	_ "github.com/strata-cache/strata/backend/memory"
	_ "github.com/strata-cache/strata/backend/redis"
)
