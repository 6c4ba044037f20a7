package hazelcastconn

import (
	"slices"
	"sync"
)

// hooks tell who wants to know which cluster a new connection leads to.
type hooks struct {
	server string // set once, before the first connection

	// mu guards list, whose functions are called outside of it.
	mu   sync.Mutex
	list []func(server, identity string)
}

func (h *hooks) add(hook func(server, identity string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, hook)
}

func (h *hooks) member(cluster string) {
	h.mu.Lock()
	list := slices.Clone(h.list)
	h.mu.Unlock()
	for _, hook := range list {
		hook(h.server, cluster)
	}
}
