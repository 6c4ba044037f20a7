package tier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/invalidation"
)

// markTries bounds how often an invalidation is begun anew because others made theirs at the same moment.
const markTries = 32

// InvalidateTag makes sure that no present value with one of tags is served again: call it after the source was written. Values
// get their tags by policy.Answer, or by WithTags. When it returns without an error no node serves such a value for a read that
// starts more than MaxStaleness later, and this one serves none at all. It takes the same few round trips however many values
// there are: they are not looked for, but found dead when they are read.
//
// On an error the outcome is unknown: this node serves no such value, and goes on trying behind. Others may until then. A value
// that has none of the tags may die too, by chance: one in 4096.
func (c *Cache[K, V]) InvalidateTag(ctx context.Context, tags ...string) error {
	if len(tags) == 0 {
		return nil
	}
	for _, t := range tags {
		if t == "" || len(t) > codec.MaxTag {
			return fmt.Errorf("tier: invalidate tag: a tag has 1 to %d bytes, got %d", codec.MaxTag, len(t))
		}
	}
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	c.n.invalidated.Add(uint64(len(tags)))
	slots := slotsOf(tags)
	c.tags.bump(slots)
	defer c.tags.bump(slots) // what a reader of this node took meanwhile; on an error too
	where, err := c.invalidateTags(ctx, tags)
	if err == nil {
		return nil
	}
	c.doubtTags(tags)
	return &Error{Op: "invalidate tag", Tier: where, Key: tags[0], Err: pending(err)}
}

// invalidateTags marks tags and tells the other nodes.
func (c *Cache[K, V]) invalidateTags(ctx context.Context, tags []string) (where string, err error) {
	slots := slotsOf(tags)
	return c.mark(ctx, false, slots, func() error { return c.announce(ctx, invalidation.VerbTag, tags) })
}

// mark leaves a marker and has it announced:
//
//	swap the marker in, announce, look whether it is there
//
// Who reads the record before the swap hears the announcement; who reads it later finds the marker. The look is for a record that
// is lost between the two: a node that restores it has heard all that was announced before, and what is announced later is seen to
// be missing here, and done again.
func (c *Cache[K, V]) mark(ctx context.Context, all bool, slots []uint16, announce func() error) (where string, err error) {
	if c.remote == nil {
		return "bus", announce()
	}
	for try := range markTries {
		if try > 0 {
			if err := pause(ctx, time.Millisecond+jitter.N(time.Millisecond<<min(try, 6))); err != nil {
				return "remote", err
			}
		}
		left, err := c.leaveMarker(ctx, all, slots)
		if errors.Is(err, errMarkersBusy) || errors.Is(err, errUnsure) {
			continue
		}
		if err != nil {
			return "remote", err
		}
		if err := announce(); err != nil {
			return "bus", err
		}
		if c.bus == nil {
			return "", nil
		}
		c.tags.bump(slots) // before it is looked at: the copy that this makes is not old again at once
		if there, err := c.reread(ctx); err == nil && there.covers(left) {
			return "", nil
		} else if err != nil && !errors.Is(err, errMarkersBusy) {
			return "remote", err
		}
	}
	return "remote", errors.Join(ErrUnavailable, errMarkersBusy)
}

// leaveMarker counts the record of markers up by one invalidation, and returns what it is then.
func (c *Cache[K, V]) leaveMarker(ctx context.Context, all bool, slots []uint16) (*markers, error) {
	have := c.marked()
	if have == nil {
		var err error
		if have, err = c.reread(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.takeTurn(ctx); err != nil {
		return nil, err
	}
	if now := c.marked(); now != nil {
		have = now
	}
	next := c.asking()
	next.markers = have.marked(all, slots)
	e := c.putMarkers(ctx, &next, have.token)
	c.endTurn()
	switch e.Outcome {
	case driver.Done:
		c.install(&next)
		return next.markers, nil
	case driver.Refused:
		ask := c.asking()
		if _, err := c.learn(ctx, have, ask, driver.Result{Record: record.Live(e.Found, time.Now())}); err != nil {
			return nil, err
		}
		return nil, errMarkersBusy
	}
	return nil, e.Err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stampSets gives what is set the stamp of this moment.
func (c *Cache[K, V]) stampSets(ctx context.Context, opts *call, changes []*change[K, V]) {
	setting := func(ch *change[K, V]) bool { return ch.entry != nil }
	if !opts.skipRemoteWrite && slices.ContainsFunc(changes, setting) {
		c.stampAll(ctx, changes)
	}
}

// stampAll gives what may be set the stamp of this moment.
func (c *Cache[K, V]) stampAll(ctx context.Context, changes []*change[K, V]) {
	if c.remote == nil {
		return
	}
	s := c.stamp()
	if m, err := c.consult(ctx); err == nil { // else it will be dead, which is for the reader to find
		s = m.stamp()
	}
	for _, ch := range changes {
		ch.w.stamp = s
	}
}
