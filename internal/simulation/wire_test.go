package simulation

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/sentinel"
)

// answerWithin is how long a client waits for a server.
const answerWithin = 150 * time.Millisecond

var (
	errNoAnswer = fmt.Errorf("simulation: no answer: %w", sentinel.ErrUnavailable)
	errRefused  = fmt.Errorf("simulation: connection refused: %w", sentinel.ErrUnavailable)
)

// A request is what a life asks of a server.
type request[T any] struct {
	to     server
	what   string
	salt   uint64
	do     func() T // happens at the server, when the request arrives, whoever still waits
	repeat bool     // it may happen once more, later
}

// call is one exchange with a server. It reports whether anything was sent.
func call[T any](ctx context.Context, l *life, r request[T]) (answer T, sent bool, err error) {
	w, to, what, salt := l.w, r.to, r.what, r.salt
	salt = mix(l.salt, salt, uint64(to))
	x := execOf(ctx)
	if x != nil {
		salt = mix(salt, x.it.Seed)
	}
	time.Sleep(w.between(0, time.Microsecond, salt)) // what begins at one moment gets an order that depends on the seed alone
	if err := l.hold(); err != nil {
		return answer, false, err
	}
	if ctx.Err() != nil {
		return answer, false, ctx.Err()
	}
	there, back := w.usual(ms(1)/4, ms(4), salt), w.usual(ms(1)/4, ms(4), mix(salt, 5))
	if !w.script.Exact && w.chance(40, salt) {
		there += w.between(0, ms(60), mix(salt, 6))
	}
	var lostThere, lostBack bool
	var repeat time.Duration
	if x != nil {
		n := int(x.calls.Add(1))
		what = fmt.Sprintf("%s[%s#%d]", what, x.it.Op, n)
		if x.it.CrashCall == n {
			l.crash(ms(150))
			return answer, false, errDead
		}
		if x.it.SlowCall == n && x.it.SlowReply {
			back += x.it.SlowBy
		} else if x.it.SlowCall == n {
			there += x.it.SlowBy
		}
		if x.it.LostCall == n {
			lostThere = x.it.Seed%2 == 0
			lostBack = !lostThere
		}
		if r.repeat {
			repeat = x.it.Repeat
		}
	}
	type reply struct {
		answer T
		err    error
		server int
	}
	replies := make(chan reply, 1)
	w.work.Go(func() {
		time.Sleep(there)
		w.mu.Lock()
		down, cut := w.down[to] > w.now(), l.node.cut[to] > w.now()
		w.mu.Unlock()
		switch {
		case cut, lostThere:
			l.log("%v %s: LOST on its way there", to, what)
			return
		case down && w.chance(2, salt):
			time.Sleep(back)
			replies <- reply{err: errRefused}
			return
		case down:
			return
		}
		w.mu.Lock()
		server := w.server
		w.mu.Unlock()
		got := r.do()
		if repeat > 0 {
			w.work.Go(func() {
				time.Sleep(repeat)
				l.log("%v %s: REPEATED", to, what)
				r.do()
			})
		}
		if there+back > answerWithin {
			l.log("%v %s: LATE", to, what)
		}
		time.Sleep(back)
		w.mu.Lock()
		cut = l.node.cut[to] > w.now()
		w.mu.Unlock()
		if cut || lostBack {
			l.log("%v %s: LOST on its way back", to, what)
			return
		}
		replies <- reply{answer: got, server: server}
	})
	sent, err = true, errNoAnswer
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case r := <-replies:
		answer, err = r.answer, r.err
		sent = err == nil
		if sent && to == remote {
			l.met(r.server)
		}
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if dead := l.hold(); dead != nil {
		return answer, sent, dead
	}
	if err != nil {
		l.log("%v %s: %v", to, what, err)
	}
	return answer, sent, err
}

// A wire is what lies between a life and the remote tier. It hides what the store in memory can do beyond what it passes on.
type wire struct {
	life  *life
	inner driver.Driver
}

var (
	_ driver.Driver      = (*wire)(nil)
	_ driver.Scanner     = (*wire)(nil)
	_ driver.Counter     = (*wire)(nil)
	_ driver.Rewinder    = (*wire)(nil)
	_ driver.RiderWriter = (*wire)(nil)
)

func (d *wire) Get(ctx context.Context, keys []string) []driver.Result {
	salt := uint64(11)
	for _, k := range keys {
		salt ^= mix(xxh3.HashString(k))
	}
	found, _, err := call(ctx, d.life, request[[]driver.Result]{to: remote, what: "get", salt: salt, do: func() []driver.Result {
		found := d.inner.Get(context.Background(), keys)
		for i, r := range found {
			d.life.log("remote get %s: %s", keys[i], d.life.w.describe(r.Record))
		}
		return found
	}})
	if err != nil {
		found = make([]driver.Result, len(keys))
		for i := range found {
			found[i].Err = err
		}
	}
	return found
}

func (d *wire) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects, _ := d.write(ctx, ops, nil)
	return effects
}

// write does ops, and then what rides, if anything does. The reply to that is nil if it has none.
func (d *wire) write(ctx context.Context, ops []driver.Op, ride *rider) ([]driver.Effect, []byte) {
	r := request[written]{to: remote, what: ops[0].Verb.String(), salt: 12, repeat: true}
	ops = slices.Clone(ops)
	for i, op := range ops {
		r.salt ^= mix(xxh3.HashString(op.Key), uint64(op.Verb))                                                 // whatever the order of the keys, which may be that of a map
		r.repeat = r.repeat && (op.Verb == record.Delete || op.Verb == record.Leave || d.life.w.script.Resends) // what places or swaps a record is sent once
		ops[i].Record = bytes.Clone(op.Record)
	}
	r.do = func() written {
		effects := d.inner.Write(context.Background(), ops)
		for i, e := range effects {
			w := d.life.w
			d.life.log("remote %v %s %s: %v %s", ops[i].Verb, ops[i].Key, w.describe(ops[i].Record), e.Outcome, w.describe(e.Found))
		}
		return written{effects, ride.arrive()}
	}
	did, sent, err := call(ctx, d.life, r)
	if err != nil {
		e := driver.Effect{Outcome: driver.Unsent, Err: err}
		if sent {
			e.Outcome = driver.Unknown
		}
		did = written{effects: slices.Repeat([]driver.Effect{e}, len(ops))}
	}
	return did.effects, did.reply
}

// written is the answer to a write.
type written struct {
	effects []driver.Effect
	reply   []byte // to what rode
}

// failing is what a server answers that may also say that it could not.
type failing[T any] struct {
	answer T
	err    error
}

// ask is call for those who only need an answer or an error.
func ask[T any](ctx context.Context, l *life, to server, what string, salt uint64, do func() (T, error)) (T, error) {
	a, _, err := call(ctx, l, request[failing[T]]{to: to, what: what, salt: salt, do: func() (a failing[T]) {
		a.answer, a.err = do()
		return a
	}})
	if err == nil {
		err = a.err
	}
	return a.answer, err
}

func (d *wire) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	s, ok := driver.As[driver.Scanner](d.inner)
	if !ok {
		return sentinel.ErrUnsupported
	}
	listed, err := ask(ctx, d.life, remote, "scan", 13, func() (listed []string, err error) {
		err = s.Scan(context.Background(), prefix, func(keys []string) bool {
			listed = append(listed, keys...)
			return true
		})
		slices.Sort(listed) // the store's own order is another in each run
		return listed, err
	})
	if err != nil {
		return err
	}
	for b := range slices.Chunk(listed, 2) {
		if !yield(b) {
			break
		}
	}
	return nil
}

func (d *wire) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	c, ok := driver.As[driver.Counter](d.inner)
	if !ok {
		return 0, sentinel.ErrUnsupported
	}
	return ask(ctx, d.life, remote, "count", mix(14, xxh3.HashString(key)), func() (int64, error) {
		return c.Count(context.Background(), key, delta, ttl)
	})
}

func (d *wire) OnServer(hook func(server, identity string)) {
	l := d.life
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.hooks = append(l.hooks, hook)
	l.server = -1 // the next answer tells it
}

// met tells the hooks of the server that has answered, before the answer is used.
func (l *life) met(server int) {
	l.w.mu.Lock()
	hooks := l.hooks
	known := l.server == server
	l.server = server
	l.w.mu.Unlock()
	if known {
		return
	}
	for _, hook := range hooks {
		hook("simulation", itoa(server))
	}
}

func (d *wire) MayRewind() bool { return d.life.w.script.Rewinds }

func (d *wire) Ping(ctx context.Context) error {
	_, err := ask(ctx, d.life, remote, "ping", 15, func() (bool, error) { return true, nil })
	return err
}

func (d *wire) String() string { return "simulation" }
func (d *wire) Close() error   { return nil } // the world closes what all share

// describe names a record by when its token was first seen.
func (w *world) describe(b []byte) string {
	if !w.tracing {
		return ""
	}
	h, _, ok := record.Parse(b)
	if !ok {
		return "-"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tokens == nil {
		w.tokens = map[record.Token]int{}
	}
	if w.tokens[h.Token] == 0 {
		w.tokens[h.Token] = len(w.tokens) + 1
	}
	return fmt.Sprintf("%v#%d", h.Kind, w.tokens[h.Token])
}
