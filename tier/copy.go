package tier

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
)

const (
	// markersTTL is how long the record of markers lives after it was last renewed, which nodes do when half of it is over.
	// Values that live longer than the record are dead without it.
	markersTTL = 7 * 24 * time.Hour

	// markersAge is when the record is read again although nothing was announced: a server that evicts what nobody reads keeps
	// it then, and if it is gone all the same a node that knows it puts it back.
	markersAge = 30 * time.Second

	// restoreWait bounds how long a read waits for the bus before the record is begun anew instead of being restored.
	restoreWait = time.Second
)

// A markersCopy is what this node knows of the record of markers. What was invalidated before it was asked for is in it.
//
//	none ── read, or begun anew ──▶ vouched for ── an invalidation is heard, or may have been missed;
//	                                  ▲            the bus is not heard, and half of MaxStaleness is over;
//	                                  │            or markersAge is
//	                                  │              │
//	                                  └── read ◀── old: it is read with the next values, in the same round trip
//
// While a bus is heard, whatever was announced more than MaxStaleness ago was heard; so who serves by a copy that is vouched for
// serves nothing that was invalidated earlier.
//
// A record that is not there, is not readable, or lacks something that this node has seen in it, has lost markers: it was evicted,
// or the server came back with older data. A node that has heard every invalidation since it made its copy restores the record; any
// other begins it anew, and all values of before are dead.
type markersCopy struct {
	*markers
	token record.Token  // of the record
	began time.Duration // when it was asked for, by the clock of mono
	clock uint64        // of the tagEpochs then
	view  *view         // of the guard then: a copy is of one life of the server
}

// marking is what a cache does with markers.
type marking struct {
	copy atomic.Pointer[markersCopy] // nil: none
	turn chan struct{}               // held by who mends the record, or changes it
	key  string                      // of the record
}

func (m *marking) init(key string) { m.key, m.turn = key, make(chan struct{}, 1) }

// asking is a copy that is being asked for.
func (c *Cache[K, V]) asking() markersCopy {
	return markersCopy{began: mono.Now(), clock: c.tags.clock.Load(), view: c.guard.look()}
}

// vouched reports whether m is as good as the record for a read that begins at now.
func (c *Cache[K, V]) vouched(m *markersCopy, now time.Duration) bool {
	return m != nil && m.clock == c.tags.clock.Load() && (c.trusted() || now-m.began < c.opts.MaxStaleness/2)
}

// marked returns this node's copy of the record as it is in the present life of the server; nil if it has none.
func (c *Cache[K, V]) marked() *markersCopy {
	if m := c.marking.copy.Load(); m != nil && !c.guard.moved(m.view) {
		return m
	}
	return nil
}

// stamp is that of a load which begins now.
func (c *Cache[K, V]) stamp() stamp {
	if m := c.marked(); m != nil {
		return m.stamp()
	}
	return stamp{}
}

// getMarked reads keys at the remote tier, and returns the markers by which to judge what it finds. Where this node's copy of them
// is old, or does not do, they are read in the same round trip.
func (c *Cache[K, V]) getMarked(ctx context.Context, anew bool, keys []string) ([]driver.Result, *markersCopy) {
	have, ask := c.marked(), c.asking()
	vouched := c.vouched(have, ask.began) && !anew
	if vouched && ask.began-have.began < markersAge {
		return c.remote.Get(ctx, keys...), have
	}
	results := c.remote.Get(ctx, append(keys[:len(keys):len(keys)], c.marking.key)...)
	found := results[len(keys)]
	got, err := c.learn(ctx, have, ask, found)
	if err != nil && vouched {
		got = have
	}
	return results[:len(keys)], got
}

// consult returns a copy that is good for what begins now.
func (c *Cache[K, V]) consult(ctx context.Context) (*markersCopy, error) {
	if have := c.marked(); c.vouched(have, mono.Now()) {
		return have, nil
	}
	return c.reread(ctx)
}

// reread asks for the record of markers, and again if the server turns out to be another one meanwhile.
func (c *Cache[K, V]) reread(ctx context.Context) (m *markersCopy, err error) {
	for range guardTries {
		c.guard.await(ctx)
		have, ask := c.marked(), c.asking()
		m, err = c.learn(ctx, have, ask, c.remote.Get(ctx, c.marking.key)[0])
		if !errors.Is(err, errUnsure) {
			break
		}
	}
	return m, err
}

// learn makes a copy of what was found when it was asked for. have was this node's copy before.
func (c *Cache[K, V]) learn(ctx context.Context, have *markersCopy, ask markersCopy, found driver.Result) (*markersCopy, error) {
	if found.Err != nil {
		return nil, found.Err
	}
	if c.guard.moved(ask.view) {
		return nil, errUnsure
	}
	h, body, ok := record.Parse(found.Record)
	if ok {
		m, err := parseMarkers(body, c.remote.Key(c.marking.key))
		if err == nil && (have == nil || m.incarnation != have.incarnation || m.covers(have.markers)) {
			ask.markers, ask.token = m, h.Token
			c.install(&ask)
			c.renewMarkers(ctx, h)
			return &ask, nil
		}
	}
	return c.mendMarkers(ctx, have, ask, h.Token)
}

// install makes m this node's copy, unless that knows more.
func (c *Cache[K, V]) install(m *markersCopy) {
	for {
		have, next := c.marking.copy.Load(), m
		if have != nil && !c.guard.moved(have.view) {
			switch {
			case have.incarnation == m.incarnation:
				joined := *m
				if joined.markers = m.joined(have.markers); joined.markers == have.markers && have.n > m.n {
					joined.token = have.token
				}
				joined.began, joined.clock = max(m.began, have.began), max(m.clock, have.clock)
				next = &joined
			case have.began > m.began:
				return
			}
		}
		if c.marking.copy.CompareAndSwap(have, next) {
			return
		}
	}
}

// renewMarkers makes the record live on when half of its life is over.
func (c *Cache[K, V]) renewMarkers(ctx context.Context, h record.Header) {
	if time.Until(h.Expiry) < markersTTL/2 {
		c.remote.Write(ctx, driver.Op{Key: c.marking.key, Step: record.Step{Verb: record.Renew, Expect: h.Token, TTL: markersTTL}})
	}
}

var errMarkersBusy = errors.New("the record of markers changes too fast")

// mendMarkers puts a record in place of one that has lost markers. lost is its token; zero: there is none.
func (c *Cache[K, V]) mendMarkers(ctx context.Context, have *markersCopy, ask markersCopy, lost record.Token) (*markersCopy, error) {
	if err := c.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer c.endTurn()
	if now := c.marked(); now != nil && now != have && now.began >= ask.began {
		return now, nil // it was read, or mended, meanwhile
	}
	ask.markers = c.restored(ctx)
	if ask.markers == nil {
		ask.markers = newMarkers()
		ask.clock, ask.began = c.tags.clock.Load(), mono.Now()
	}
	e := c.putMarkers(ctx, &ask, lost)
	switch {
	case e.Outcome == driver.Done:
		c.install(&ask)
		return &ask, nil
	case e.Outcome != driver.Refused:
		return nil, e.Err
	}
	h, body, ok := record.Parse(record.Live(e.Found, time.Now()))
	if !ok {
		return nil, errMarkersBusy
	}
	m, err := parseMarkers(body, c.remote.Key(c.marking.key))
	if err != nil || have != nil && m.incarnation == have.incarnation && !m.covers(have.markers) {
		return nil, errMarkersBusy
	}
	ask.markers, ask.token = m, h.Token
	c.install(&ask)
	return &ask, nil
}

// restored returns what the record held and more, if this node is sure to have heard of all that was invalidated since it made its
// copy: what it has heard of, and what was announced before its question came back through the bus. Of what is announced later the
// announcer will see that it is not in the record.
func (c *Cache[K, V]) restored(ctx context.Context) *markers {
	if c.opts.Bus == nil || c.marked() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, restoreWait)
	defer cancel()
	if !c.trusted() || c.opts.Bus.Ping(ctx) != nil {
		return nil
	}
	have := c.marked()
	if have == nil || c.tags.gap.Load() > have.clock { // the server became another one meanwhile, or this node missed something
		return nil
	}
	return have.markedAt(have.n+restoreStep, c.tags.all.Load() > have.clock, c.tags.since(have.clock))
}

// putMarkers stores m, under a token that it puts into it, in place of the record that has the token old; zero: of nothing.
func (c *Cache[K, V]) putMarkers(ctx context.Context, m *markersCopy, old record.Token) driver.Effect {
	m.token = record.NewToken()
	h := record.Header{Kind: record.Value, Token: m.token, Expiry: time.Now().Add(markersTTL)}
	b := appendMarkers(record.New(h, nil), m.markers, c.remote.Key(c.marking.key))
	step := record.Step{Verb: record.Swap, Expect: old, Record: b, TTL: markersTTL}
	if old.IsZero() {
		step = record.Step{Verb: record.Add, Record: b, TTL: markersTTL}
	}
	return c.remote.Write(ctx, driver.Op{Key: c.marking.key, Step: step})[0]
}

func (c *Cache[K, V]) takeTurn(ctx context.Context) error {
	select {
	case c.marking.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Cache[K, V]) endTurn() { <-c.marking.turn }
