package redisjournal

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
)

//go:embed lib.lua
var libLua string

//go:embed append.lua
var appendLua string

//go:embed take.lua
var takeLua string

//go:embed keep.lua
var keepLua string

//go:embed done.lua
var doneLua string

//go:embed return.lua
var returnLua string

//go:embed bury.lua
var buryLua string

//go:embed retry.lua
var retryLua string

//go:embed purge.lua
var purgeLua string

//go:embed pending.lua
var pendingLua string

//go:embed stats.lua
var statsLua string

//go:embed leave.lua
var leaveLua string

//go:embed tidy.lua
var tidyLua string

//go:embed recover.lua
var recoverLua string

// The scripts, never changed. That of an append returns one string, so that it can be a redisconn.Rider.
var (
	appendScript  = newScript(appendLua)
	takeScript    = newScript(takeLua)
	keepScript    = newScript(keepLua)
	doneScript    = newScript(doneLua)
	returnScript  = newScript(returnLua)
	buryScript    = newScript(buryLua)
	retryScript   = newScript(retryLua)
	purgeScript   = newScript(purgeLua)
	pendingScript = newScript(pendingLua)
	statsScript   = newScript(statsLua)
	leaveScript   = newScript(leaveLua)
	tidyScript    = newScript(tidyLua)
	recoverScript = newScript(recoverLua)
)

// What one run of a script gets or gives: a server works on one thing at a time. Lua takes some 8000 arguments in a call.
const (
	pageKeys  = 1000
	pageBytes = 4 << 20
)

// A script is sent as its digest. Where the server does not have it, it says so without having done anything, and the source
// follows: nothing runs twice.
type script struct{ source, digest string }

func newScript(body string) script {
	source := libLua + body
	sum := sha1.Sum([]byte(source)) // what Redis names scripts by
	return script{source: source, digest: hex.EncodeToString(sum[:])}
}

// eval runs a script at the queue, on the server that owns it.
func (q *queue) eval(ctx context.Context, s script, args ...any) (any, error) {
	n, err := q.conn.Primary(ctx, q.keys[keyList])
	if err != nil {
		return nil, err
	}
	return q.evalAt(ctx, n, s, args)
}

func (q *queue) evalAt(ctx context.Context, n *redisconn.Node, s script, args []any) (any, error) {
	r := redisconn.Rider{Conn: q.conn, Source: s.source, Digest: s.digest, Keys: q.keys, Args: args}
	reply, err := redisconn.DoAt(ctx, q.conn, n, func(ctx context.Context) (any, error) {
		cmd := redis.NewCmd(ctx, r.Command(false)...)
		q.conn.Exec(ctx, n, []redis.Cmder{cmd})
		if redisconn.HasPrefix(cmd.Err(), "NOSCRIPT") {
			cmd = redis.NewCmd(ctx, r.Command(true)...)
			q.conn.Exec(ctx, n, []redis.Cmder{cmd})
		}
		return cmd.Result()
	})
	return reply, q.conn.Explain(n.Server(), err)
}

// number runs a script whose answer is one.
func (q *queue) number(ctx context.Context, s script, args ...any) (int, error) {
	reply, err := q.eval(ctx, s, args...)
	if err != nil {
		return 0, err
	}
	n, ok := reply.(int64)
	if !ok {
		return 0, senseless(reply)
	}
	return int(n), nil
}

// list runs a script whose answer is a list.
func (q *queue) list(ctx context.Context, s script, args ...any) ([]any, error) {
	reply, err := q.eval(ctx, s, args...)
	if err != nil {
		return nil, err
	}
	l, ok := reply.([]any)
	if !ok {
		return nil, senseless(reply)
	}
	return l, nil
}

// senseless says that a server's answer is none.
func senseless(answer any) error {
	return fmt.Errorf("the server's answer %.80q makes no sense: %w", fmt.Sprint(answer), journal.ErrUnavailable)
}

// nothingDone reports whether a call that failed certainly did nothing: it was not sent, or the server said that it failed. A script that fails has
// not come to the last step, in which it accepts writes.
func nothingDone(err error) bool {
	var reply redis.Error
	return redisconn.NotSent(err) || redisconn.Denied(err) || errors.As(err, &reply)
}

// wrap says where an error comes from; a context's passes untouched.
func (q *queue) wrap(ctx context.Context, op string, err error) error {
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("redisjournal: %s %q: %w", op, q.name, err)
}
