// Package invalidation tells every node of a fleet which cached values must not be served any more, and tells each node for
// how long it may believe that it heard everything.
//
//	bus := membus.Bus(hub, nil) // or redisbus.Open(ctx, "redis://localhost:6379", nil)
//	defer bus.Close()
//	a, err := bus.Attach("products", "v1", 3*time.Second, handler)
//	pos, err := a.Announce(ctx, invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: []string{"products/1/{42}"}})
//
// Applications use package tier, which attaches to a [Bus]. This package is for those who build on a bus directly, or write
// a [Transport].
//
// # The log
//
// All nodes append to one log, and all hear it. The step that publishes a frame gives it its [Position]: the incarnation of
// the log and the next number. So there is one order for all publishers, and a node that sees n+1 after n has missed
// nothing. Frames that were seen are ignored. A node that skipped positions, because a frame was lost or a subscription was cut,
// asks the log for just those frames, if the transport keeps them ([Replayer]), and applies them as if they had come. It tells
// its caches to flush where it cannot know what it missed, or cannot have it again: at its first subscription, at another
// incarnation however far that has come, where the log no longer reaches back, or at a frame that it cannot read.
//
// # Trust
//
// Nothing that arrives can prove that nothing is missing at the end; silence looks like peace. So every node appends a
// heartbeat to the same log, a fifth of the smallest bound apart, and waits for its own to come back. What was announced
// before the heartbeat was sent stands before it in the log, and was applied:
//
//	node            log                      other node
//	 │ heartbeat, at T ─▶ 17                     │
//	 │                    18 ◀── invalidate k ───│
//	 │◀── 17: mine ───────│
//	 │   Trust(T): what I hold was valid at T, so serve it until T + MaxStaleness
//	 │◀── 18: Apply ──────│
//
// Only heartbeats sent after the last flush count, and none while the node is catching up. A cache whose deadline has passed serves nothing from memory until the
// next one comes back; it reads the remote tier, which is always right. When nothing comes back for the smallest bound,
// the transport's subscription is replaced: a connection may be dead without anybody telling.
//
// # Watching
//
// [Bus.Watch] tells an application what is announced, as a sequence to range over, after the caches of this node have applied it:
// what it derived from cached values can be derived anew. Each announcement is told, or that something may be missing in its place.
//
//	changes, err := bus.Watch(ctx, "products")
//	for change := range changes { // until ctx ends, or the bus closes
//
// # Registers
//
// A transport may also keep small values beside the log, each changed by compare-and-swap: [Register]. The step that changes one
// announces it in the log, so that all nodes agree on it as they agree on what is invalid. Who is in a pool of servers is such a
// value.
//
//	r, err := invalidation.Register(bus, "pool")
//	signal, stop := r.Changed()               // watch first, then load
//	value, epoch, err := r.Load(ctx)          // epoch 0: nothing was registered yet
//	epoch, swapped, err := r.Swap(ctx, changed, epoch)
//
// # Keys
//
// With [Options].Keys frames are signed, and only signed ones count, each once, in the log for which it was signed: a stranger who
// can publish changes nothing. docs/security.md has the reasoning, what remains possible, and how a fleet gets its first key.
//
// # Guarantees
//
//   - A handler hears the messages of its cache in the order of the log, from one goroutine, own ones included and marked.
//   - What it cannot hear because it was lost for good is told by Flush, before anything announced later.
//   - After Trust(sent), everything that was acknowledged before sent has been applied.
//   - An Announce that returned without error is in the log, and every node hears it, flushes, or ceases to be trusted.
//   - A [Bus.Watch] is told everything that is announced after it began, in the order of the log, or in its place that something may
//     be missing, and why; in both cases after the handlers were. No watcher delays anybody.
//   - An epoch of a register stands for one value for ever; [Registry] says why, and what a failover can take back.
//
// Not guaranteed: that an announcement that failed is not in the log (its outcome is unknown: announce again until it is
// acknowledged), that a message is heard, or told, once (a publisher may repeat it), and that a [Bus.Wake] is heard at all.
// Liveness is measured by a clock that stands still while the machine is suspended: the subscription is replaced the later.
//
// # Errors
//
// Announce returns the context's error untouched, an error for which errors.Is finds [ErrUnavailable] when the server did
// not take the message or did not say so, [ErrTooLarge] and other errors about the message, and [ErrClosed].
// A failing subscription is not an error of any call: it shows in [Stats], in [Options].OnEvent, and in caches that are not
// trusted.
//
// # Writing a transport
//
// Implement [Transport], and [Registrar] and [Replayer] if it can, and run invalidationtest, as membus does; its package is the shortest
// example.
package invalidation
