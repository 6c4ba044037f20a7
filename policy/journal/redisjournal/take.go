package redisjournal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
)

const (
	longestWait = 5 * time.Second // at the server, for one command
	group       = "workers"
	freeOnes    = "free" // the consumer that has what nobody has taken

	firstPause = 20 * time.Millisecond
	lastPause  = time.Second

	tidyEvery = 5 * time.Minute // and up to twice that
	noCursor  = "0-0"
)

// taking is the state of those who take: one at a time, so that one connection waits for a queue.
type taking struct {
	turn   chan struct{} // of one: who has put something in has the rest
	ever   bool          // something was asked for
	waiter *redisconn.Waiter

	claimAt time.Duration // by mono.Now: when to look for what others do not keep
	from    string        // where to look
	tidyAt  time.Duration
	tidy    string // where to go on, while that is under way
	lost    bool   // a call got no answer, and may have taken something
}

// end closes the connection that waits.
func (t *taking) end() error {
	if t.waiter == nil {
		return nil
	}
	w := t.waiter
	t.waiter = nil
	return w.Close()
}

// Take implements journal.Queue.
func (q *queue) Take(ctx context.Context, n int) ([]journal.Entry, error) {
	if err := q.usable(ctx); err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, nil
	}
	bound, release := q.bound(ctx)
	defer release()
	entries, err := q.takeInTurn(bound, n)
	switch {
	case err == nil:
		return entries, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case q.ctx.Err() != nil:
		return nil, q.errClosed()
	}
	return nil, q.wrap(ctx, "take from", err)
}

func (q *queue) takeInTurn(ctx context.Context, n int) ([]journal.Entry, error) {
	select {
	case q.taking.turn <- struct{}{}:
		defer func() { <-q.taking.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	rest := firstPause
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := q.takeNow(n)
		if err == nil && len(entries) == 0 {
			if err = q.tidyIfDue(ctx); err == nil {
				err = q.wait(ctx)
			}
		}
		switch {
		case len(entries) > 0:
			return entries, nil
		case err == nil:
			rest = firstPause
		case !isUnavailable(err):
			return nil, err
		default:
			if err := pause(ctx, rest/2+jitter.N(rest/2)); err != nil {
				return nil, err
			}
			rest = min(2*rest, lastPause)
		}
	}
}

// takeNow takes what is there. No caller's context ends it: what would be left behind would be nobody's until it is taken over.
func (q *queue) takeNow(n int) (entries []journal.Entry, err error) {
	q.taking.ever = true
	if err := q.recover(); err != nil {
		return nil, err
	}
	for len(entries) < n {
		idle := ""
		if now := mono.Now(); now >= q.taking.claimAt || q.taking.from != noCursor {
			idle = strconv.FormatInt(q.opts.TakeOver.Milliseconds(), 10)
			q.taking.claimAt = now + q.opts.TakeOver/16 + jitter.N(q.opts.TakeOver/16)
		}
		asked := min(n-len(entries), pageKeys)
		reply, err := q.list(context.Background(), takeScript, q.consumer, asked, idle, q.taking.from, pageBytes)
		if err != nil {
			q.taking.lost = !nothingDone(err)
			if len(entries) > 0 {
				return entries, nil
			}
			return nil, err
		}
		got, err := q.taken(reply)
		if err != nil {
			return entries, err
		}
		if entries = append(entries, got...); len(got) < asked && q.taking.from == noCursor {
			break
		}
	}
	return entries, nil
}

// taken reads the answer of the script.
func (q *queue) taken(reply []any) ([]journal.Entry, error) {
	if len(reply) < 2 || len(reply)%5 != 2 {
		return nil, senseless(reply)
	}
	from, ok := reply[0].(string)
	made, okMade := reply[1].(int64)
	if !ok || !okMade {
		return nil, senseless(reply)
	}
	q.taking.from = from
	if made == 1 {
		q.taking.tidyAt = 0 // the list may be gone with the group
	}
	entries := make([]journal.Entry, 0, len(reply)/5)
	for i := 2; i < len(reply); i += 5 {
		id, okID := reply[i].(string)
		delivery, okDelivery := reply[i+1].(int64)
		key, okKey := reply[i+2].(string)
		head, okHead := reply[i+3].(string)
		body, okBody := reply[i+4].(string)
		if !okID || !okDelivery || !okKey || !okHead || !okBody {
			return nil, senseless(reply)
		}
		e, err := readEntry(key, head, body)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		e.Ticket = id + " " + strconv.FormatInt(delivery, 10)
		entries = append(entries, e)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range entries {
		id, _, _ := ticket(&entries[i])
		q.has[id] = struct{}{}
	}
	return entries, nil
}

// recover gives back what this queue has taken and does not know of, as an answer did not come. What it cannot give back is taken over
// later, as if it were another's.
func (q *queue) recover() error {
	if !q.taking.lost {
		return nil
	}
	args := []any{q.consumer}
	q.mu.Lock()
	for id := range q.has {
		args = append(args, id)
	}
	q.mu.Unlock()
	n, err := q.number(context.Background(), recoverScript, args...)
	if err == nil && n < pageKeys {
		q.taking.lost = false
	}
	return err
}

// letGo notes that the queue does not have entries any more.
func (q *queue) letGo(entries []journal.Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range entries {
		if id, _, ok := ticket(&entries[i]); ok {
			delete(q.has, id)
		}
	}
}

// wait returns when something may be there to be taken.
func (q *queue) wait(ctx context.Context) error {
	block := min(longestWait, max(q.taking.claimAt-mono.Now(), time.Millisecond))
	if deadline, ok := ctx.Deadline(); ok {
		// The server says in time that there is nothing: a context that ends would cost the connection.
		left := time.Until(deadline)
		if block = min(block, left-max(left/8, 2*time.Millisecond)); block < time.Millisecond {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	block = max(block.Truncate(time.Millisecond), time.Millisecond)
	n, err := q.conn.Primary(ctx, q.keys[keyList])
	if err != nil {
		return err
	}
	if w := q.taking.waiter; w == nil || w.Node() != n {
		if err := q.taking.end(); err != nil {
			return err
		}
		q.taking.waiter = q.conn.NewWaiter(n)
	}
	err = q.taking.waiter.Do(ctx, block, func(ctx context.Context, c *redis.Client) error {
		return c.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: group, Consumer: freeOnes, Streams: []string{q.keys[keyList], ">"}, Count: 1, Block: block,
		}).Err()
	})
	if errors.Is(err, redis.Nil) || redisconn.HasPrefix(err, "NOGROUP") || redisconn.HasPrefix(err, "UNBLOCKED") {
		return nil // the next attempt to take makes it
	}
	return err
}

// tidyIfDue mends what was lost in part, some of it at a time.
func (q *queue) tidyIfDue(ctx context.Context) error {
	t := &q.taking
	if t.tidy == "" {
		if now := mono.Now(); now < t.tidyAt {
			return nil
		}
		t.tidy = "0"
	}
	for {
		// A consumer of a queue that takes is heard of every few seconds.
		reply, err := q.list(ctx, tidyScript, t.tidy, (10 * longestWait).Milliseconds())
		if err != nil {
			return err
		}
		next, ok := "", len(reply) == 2
		if ok {
			next, ok = reply[0].(string)
		}
		if !ok {
			return senseless(reply)
		}
		if t.tidy = next; next == "0" {
			t.tidy, t.tidyAt = "", mono.Now()+tidyEvery+jitter.N(tidyEvery)
			return nil
		}
	}
}

// ticket takes apart what taken put together. What has none was not taken.
func ticket(e *journal.Entry) (id, delivery string, ok bool) {
	return strings.Cut(e.Ticket, " ")
}
