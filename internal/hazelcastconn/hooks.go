package hazelcastconn

import (
	"slices"
	"sync"
)

// hooks tell who wants to know which cluster a new connection leads to.
type hooks struct {
	server string // set once, before the first connection

	// mu guards the rest. The functions are called outside of it, or, the first time, within.
	mu      sync.Mutex
	list    []func(server, identity string)
	cluster string // of the last connection, "" for none
}

func (h *hooks) add(hook func(server, identity string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, hook)
	if h.cluster != "" {
		hook(h.server, h.cluster)
	}
}

func (h *hooks) member(cluster string) {
	h.mu.Lock()
	h.cluster = cluster
	list := slices.Clone(h.list)
	h.mu.Unlock()
	for _, hook := range list {
		hook(h.server, cluster)
	}
}
