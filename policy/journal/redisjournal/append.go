package redisjournal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
)

// flights is how many commands of writes may be under way at once. There is no timer: a write that comes while fewer are leaves at once,
// and whatever waits when one returns leaves together.
const flights = 2

// A request is a call of Append.
type request struct {
	begun, within time.Duration // by mono.Now
	done          chan struct{} // closed with the last answer

	// Guarded by the queue's mu.
	receipts []journal.Receipt
	open     int // receipts that are missing
}

// An item is a write of a request.
type item struct {
	*request
	at    int
	key   string
	body  []byte
	again bool // the server has refused it as late once
}

// Append implements journal.Queue.
func (q *queue) Append(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
	r := &request{begun: mono.Now(), within: within, done: make(chan struct{}), open: len(writes)}
	refuse := func(err error) []journal.Receipt {
		return slices.Repeat([]journal.Receipt{{Err: &notWritten{cause: q.wrap(ctx, "append to", err)}}}, len(writes))
	}
	switch {
	case len(writes) == 0:
		return nil
	case q.ctx.Err() != nil:
		return refuse(q.errClosed())
	case ctx.Err() != nil:
		return refuse(ctx.Err())
	}
	items := make([]item, len(writes))
	r.receipts = make([]journal.Receipt, len(writes))
	for i := range writes {
		items[i] = item{request: r, at: i, key: writes[i].Key, body: body(&writes[i])}
	}

	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return refuse(q.errClosed())
	}
	q.waiting = append(q.waiting, items...)
	if q.flying < flights {
		q.flying++
		q.flights.Go(q.fly) // ends when nothing waits; joined by Close
	}
	q.mu.Unlock()

	select {
	case <-r.done:
		return r.receipts
	case <-ctx.Done():
		return q.abandon(ctx, r)
	}
}

// abandon ends the wait for a request whose caller leaves: what has not left is not written, of the rest nobody knows.
func (q *queue) abandon(ctx context.Context, r *request) []journal.Receipt {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := slices.Clone(r.receipts)
	if r.open == 0 {
		return out
	}
	for i := range out {
		if out[i] == (journal.Receipt{}) {
			out[i].Err = q.wrap(ctx, "append to", ctx.Err())
		}
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(it item) bool {
		if it.request != r {
			return false
		}
		out[it.at].Err = &notWritten{cause: q.wrap(ctx, "append to", ctx.Err())}
		return true
	})
	return out
}

// fly sends what waits until nothing does.
func (q *queue) fly() {
	for {
		batch := q.next()
		if batch == nil {
			return
		}
		q.send(batch)
	}
}

// next takes what leaves together.
func (q *queue) next() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.flying--
		return nil
	}
	n, bytes := 0, 0
	for n < len(q.waiting) && n < pageKeys {
		if bytes += len(q.waiting[n].body); n > 0 && bytes > pageBytes {
			break
		}
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = slices.Clone(q.waiting[n:]) // the batch keeps the array
	return batch
}

// answer gives writes their receipts.
func (q *queue) answer(batch []item, receipt func(i int) journal.Receipt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, it := range batch {
		it.receipts[it.at] = receipt(i)
		if it.open--; it.open == 0 {
			close(it.done)
		}
	}
}

// fail gives all of them an error.
func (q *queue) fail(batch []item, err error, certain bool) {
	err = q.wrap(q.ctx, "append to", err)
	if certain {
		err = &notWritten{cause: err}
	}
	q.answer(batch, func(int) journal.Receipt { return journal.Receipt{Err: err} })
}

// send makes one command of a batch, and answers it. No caller's context ends it: it is everybody's.
func (q *queue) send(batch []item) {
	ctx := context.Background()
	batch = q.dropLate(batch)
	if len(batch) == 0 {
		return
	}
	n, err := q.conn.Primary(ctx, q.keys[keyList])
	if err != nil {
		q.fail(batch, q.conn.Explain(q.conn.Server(), err), true)
		return
	}
	s := q.at(n)
	deadlines, err := q.deadlines(ctx, s, batch)
	if err != nil {
		q.fail(batch, err, true)
		return
	}
	args := make([]any, 0, 1+3*len(batch))
	args = append(args, q.opts.Bound)
	for i, it := range batch {
		args = append(args, deadlines[i], it.key, it.body)
	}
	reply, err := q.evalAt(ctx, n, appendScript, args)
	if err != nil {
		q.fail(batch, err, nothingDone(err))
		return
	}
	text, ok := reply.(string)
	if !ok || len(text) != 8*(1+len(batch)) {
		q.fail(batch, senseless(reply), false)
		return
	}
	words := []byte(text)
	s.mu.Lock()
	s.clock.see(int64(binary.BigEndian.Uint64(words)), mono.Now())
	s.mu.Unlock()
	if current, _ := s.current(); !current && !q.allowVolatile {
		// A connection was made meanwhile, perhaps this one, perhaps to a server that has restarted.
		if err := q.ask(ctx, s); err != nil {
			q.fail(batch, fmt.Errorf("it was accepted by a server of which nobody knows whether it keeps it: %w", err), false)
			return
		}
	}
	q.settle(n, batch, words[8:])
}

// Positions that are none.
const (
	answerFull = 0
	answerLate = 1
)

// settle answers a batch with what the script says. What was refused as late and is not, as the server's clock has jumped ahead, is sent
// once more.
func (q *queue) settle(n *redisconn.Node, batch []item, words []byte) {
	full := &notWritten{cause: fmt.Errorf("redisjournal: append to %q: at least %d keys: %w", q.name, q.opts.Bound, journal.ErrFull)}
	late := &notWritten{cause: fmt.Errorf("redisjournal: append to %q: too late by the clock of %s: %w", q.name, n.Server(), journal.ErrUnavailable)}
	now := mono.Now()
	var answered, again []item
	var receipts []journal.Receipt
	for i, it := range batch {
		r := journal.Receipt{Position: journal.Position(binary.BigEndian.Uint64(words[8*i:]))}
		switch {
		case r.Position == answerFull:
			r = journal.Receipt{Err: full}
		case r.Position == answerLate && !it.again && now < it.begun+it.within:
			it.again = true
			again = append(again, it)
			continue
		case r.Position == answerLate:
			r = journal.Receipt{Err: late}
		}
		answered, receipts = append(answered, it), append(receipts, r)
	}
	q.answer(answered, func(i int) journal.Receipt { return receipts[i] })
	if len(again) > 0 {
		q.send(again)
	}
}

// dropLate answers those whose time is over already.
func (q *queue) dropLate(batch []item) []item {
	now := mono.Now()
	var late []item
	batch = slices.DeleteFunc(batch, func(it item) bool {
		if now < it.begun+it.within {
			return false
		}
		late = append(late, it)
		return true
	})
	if len(late) > 0 {
		q.fail(late, fmt.Errorf("%w: no time was left to send it", journal.ErrUnavailable), true)
	}
	return batch
}

// deadlines returns until when the server may accept each write, by its own clock. It asks the server first where that, or what it is, is not
// known.
func (q *queue) deadlines(ctx context.Context, s *server, batch []item) ([]int64, error) {
	least := batch[0].within
	for _, it := range batch {
		least = min(least, it.within)
	}
	current, err := s.current()
	s.mu.Lock()
	old := s.clock.old(mono.Now(), least)
	s.mu.Unlock()
	if !current || old || isVolatile(err) {
		if err := q.ask(ctx, s); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]int64, len(batch))
	for i, it := range batch {
		out[i] = s.clock.deadline(it.begun, it.within)
	}
	return out, nil
}

// isUnavailable reports whether a server that works would not have failed so.
func isUnavailable(err error) bool {
	return errors.Is(err, journal.ErrUnavailable)
}
