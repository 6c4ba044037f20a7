package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
)

// What travels in one pipeline. What is larger is sent in parts, each with its own timeout.
const (
	maxPipeline = 512
	maxSent     = 4 << 20
)

// Write sends the ops to the servers that own their keys, to all of them at the same time.
func (d *store) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	keys := make([]string, len(ops))
	for i := range ops {
		keys[i] = ops[i].Key
	}
	groups, err := d.conn.Groups(ctx, keys)
	if err != nil {
		return repeat(len(ops), driver.Effect{Outcome: driver.Unsent, Err: d.explain("write", d.conn.Server(), err)})
	}
	return spread(groups, ops, func(g redisconn.Group, ops []driver.Op) []driver.Effect {
		if g.Err != nil {
			return repeat(len(ops), driver.Effect{Outcome: driver.Unsent, Err: d.explain("write", d.conn.Server(), g.Err)})
		}
		return d.writeTo(ctx, g.Node, ops)
	})
}

// writeTo sends the ops in pipelines of one script call each. No pipeline has a key twice: where the server lacks the script
// for one op and got it, from somebody else, before the next, or sends one op on to another server, sending the first again
// would change their order.
func (d *store) writeTo(ctx context.Context, n *redisconn.Node, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	for from := 0; from < len(ops); {
		if err := ctx.Err(); err != nil {
			fill(effects[from:], driver.Effect{Outcome: driver.Unsent, Err: err})
			break
		}
		to := from + part(ops[from:])
		if err := d.apply(ctx, n, ops[from:to], effects[from:to]); err != nil {
			// The server did not answer. Later ops wait for nothing, and do not overtake what may be under way.
			fill(effects[to:], driver.Effect{Outcome: driver.Unsent, Err: err})
			break
		}
		from = to
	}
	return effects
}

// part returns how many of the ops travel together, at least one.
func part(ops []driver.Op) int {
	if len(ops) == 1 {
		return 1
	}
	seen := make(map[string]struct{}, len(ops))
	bytes := 0
	for i, op := range ops {
		bytes += len(op.Record)
		if _, twice := seen[op.Key]; twice || i > 0 && (i == maxPipeline || bytes > maxSent) {
			return i
		}
		seen[op.Key] = struct{}{}
	}
	return len(ops)
}

// apply sends ops with different keys, once more those for which the server lacked the script, and sets their effects. It
// returns the error of a call in which the connection failed.
func (d *store) apply(ctx context.Context, n *redisconn.Node, ops []driver.Op, effects []driver.Effect) error {
	again, err := d.send(ctx, n, ops, effects, nil)
	if err != nil || len(again) == 0 {
		return err
	}
	if err := ctx.Err(); err != nil {
		for _, i := range again {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
		}
		return err
	}
	_, err = d.send(ctx, n, ops, effects, again)
	return err
}

// send sends the ops, or only those at the indexes in some, with the whole script, and sets their effects. It returns the
// indexes of those for which the server lacked the script.
func (d *store) send(ctx context.Context, n *redisconn.Node, ops []driver.Op, effects []driver.Effect, some []int) (lacking []int, err error) {
	indexes := some
	if some == nil {
		indexes = make([]int, len(ops))
		for i := range ops {
			indexes[i] = i
		}
	}
	cmds, err := d.pipeline(ctx, n, func(ctx context.Context) []goredis.Cmder {
		cmds := make([]goredis.Cmder, len(indexes))
		for at, i := range indexes {
			cmds[at] = applyScript.command(ctx, some != nil, ops[i].Key, arguments(&ops[i]))
		}
		return cmds
	})
	for at, i := range indexes {
		var again bool
		if effects[i], again = d.effectOf(n, cmds, at, err); again {
			lacking = append(lacking, i)
		}
	}
	return lacking, err
}

// pipeline sends what build makes together. It returns the commands with their answers, or nil where the call was left behind, and
// the error of the first that has no answer.
func (d *store) pipeline(ctx context.Context, n *redisconn.Node, build func(context.Context) []goredis.Cmder) ([]goredis.Cmder, error) {
	sent, err := redisconn.DoAt(ctx, d.conn, n, func(ctx context.Context) ([]goredis.Cmder, error) {
		cmds := build(ctx)
		d.conn.Exec(ctx, n, cmds)
		for _, cmd := range cmds {
			if !answered(cmd) {
				return cmds, cmd.Err()
			}
		}
		return cmds, nil
	})
	return sent, d.explain("write", n.Server(), err)
}

// effectOf is what became of an op whose command is at an index of what a pipeline returned. lacking says that the server lacked the
// script.
func (d *store) effectOf(n *redisconn.Node, cmds []goredis.Cmder, at int, err error) (e driver.Effect, lacking bool) {
	switch {
	case cmds == nil, isContext(err) && !answered(cmds[at]):
		return failed(err), false
	case !answered(cmds[at]):
		// Its own error, not that of the call: a cluster may have sent this one on to another server than those before.
		return failed(d.explain("write", n.Server(), d.conn.Failed(n, cmds[at].Err()))), false
	}
	return d.effect(n, cmds[at].(*goredis.Cmd)), isNoScript(cmds[at].Err())
}

func answered(cmd goredis.Cmder) bool { return cmd.Err() == nil || isReply(cmd.Err()) }

// effect reads the script's answer.
func (d *store) effect(n *redisconn.Node, cmd *goredis.Cmd) driver.Effect {
	reply, err := cmd.Result()
	if errors.Is(err, goredis.Nil) {
		return driver.Effect{Outcome: driver.Refused}
	}
	if err != nil {
		return failed(d.explain("write", n.Server(), err))
	}
	switch r := reply.(type) {
	case int64:
		return driver.Effect{Outcome: driver.Done}
	case string:
		return driver.Effect{Outcome: driver.Refused, Found: []byte(r)}
	}
	return driver.Effect{Err: fmt.Errorf("redis: write: %s: unexpected answer of type %T: %w", n.Server(), reply,
		sentinel.ErrUnavailable)}
}

func arguments(op *driver.Op) []any {
	var rec []byte
	if op.Verb == record.Add || op.Verb == record.Swap {
		rec = op.Record
	}
	return []any{op.Verb.String(), rec, op.Expect[:], op.Fresh[:], milliseconds(op.TTL)}
}

// milliseconds rounds up: a record may live longer than it should, never shorter.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10)
}

func fill(effects []driver.Effect, e driver.Effect) {
	for i := range effects {
		effects[i] = e
	}
}
