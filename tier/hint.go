package tier

// The topics of hints: somebody waits for a key that another fills, and it was filled. No value travels over the bus.
func wantedTopic(remoteKey string) string { return "want " + remoteKey }
func filledTopic(remoteKey string) string { return "filled " + remoteKey }

// awaitHint tells whoever fills w's key that somebody waits, and returns a channel that has a signal when it was filled. The
// function that it returns must be called.
func (c *Cache[K, V]) awaitHint(w *want[K, V]) (filled <-chan struct{}, forget func()) {
	bus := c.opts.Bus
	if bus == nil {
		return make(chan struct{}), func() {}
	}
	c.listen(w) // to itself, too: where one had to wait, others do; and if it fills the key in the end it wakes them
	filled, forget = bus.Woken(filledTopic(w.remoteKey))
	bus.Wake(wantedTopic(w.remoteKey))
	return filled, forget
}

// listen begins to hear who waits for w's key, before the lease is asked for: who finds that taken says so at once, and once.
func (c *Cache[K, V]) listen(w *want[K, V]) {
	if bus := c.opts.Bus; bus != nil && w.wanted == nil {
		w.wanted, w.deafen = bus.Woken(wantedTopic(w.remoteKey))
	}
}

// wakeWaiters ends what listen began, and wakes who waits for the keys at which wants had their turn.
func (c *Cache[K, V]) wakeWaiters(wants []*want[K, V]) {
	for _, w := range wants {
		if w.wanted == nil {
			continue
		}
		select {
		case <-w.wanted:
			if w.led {
				c.opts.Bus.Wake(filledTopic(w.remoteKey))
			}
		default:
		}
		w.deafen()
	}
}
