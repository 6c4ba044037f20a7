package redis

import (
	"sync"

	"github.com/strata-cache/strata/internal/redisconn"
)

// spread calls do for each group with its items, at the same time if there are several, and returns what comes of each item,
// in the order of the items. do must return an outcome for each.
func spread[I, O any](groups []redisconn.Group, items []I, do func(g redisconn.Group, items []I) []O) []O {
	if len(groups) == 1 {
		return do(groups[0], items)
	}
	outcomes := make([]O, len(items))
	var doing sync.WaitGroup
	for _, g := range groups {
		doing.Go(func() { // ends with its calls
			part := make([]I, len(g.At))
			for n, i := range g.At {
				part[n] = items[i]
			}
			for n, o := range do(g, part) {
				outcomes[g.At[n]] = o
			}
		})
	}
	doing.Wait()
	return outcomes
}

// repeat returns n times the same.
func repeat[O any](n int, o O) []O {
	all := make([]O, n)
	for i := range all {
		all[i] = o
	}
	return all
}
