package redisbus

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
)

// Registers are fields of the log's own hash, three each: epoch:NAME, value:NAME, and life:NAME, the incarnation in which the
// value was written. So a log that is evicted or deleted takes them along: its next incarnation flushes all nodes, which tells
// those who watch a register to look, and none is lost unseen.
//
// ARGV[1] is the nonce of a log that does not exist yet, ARGV[2] the register's name.

// readScript returns epoch, value, and whether the value is of this incarnation.
var readScript = redis.NewScript(incarnationLua + `
local found = redis.call('HMGET', KEYS[1], 'epoch:' .. ARGV[2], 'value:' .. ARGV[2], 'life:' .. ARGV[2])
return {found[1] or '0', found[2] or '', found[3] == incarnation and 1 or 0}
`)

// writeScript stores the value ARGV[3] if epoch ARGV[4] stands there, under an epoch above ARGV[5], and publishes the frame
// ARGV[7] at the log's next position on the channel ARGV[6]. It returns the new epoch, 0 if another one stands there.
//
// The epoch is the greatest of three: one more than stood there, one more than the writing node has seen, and the clock in
// microseconds, which a server that lost everything still has.
var writeScript = redis.NewScript(incarnationLua + `
local epoch = redis.call('HGET', KEYS[1], 'epoch:' .. ARGV[2]) or '0'
if epoch ~= ARGV[4] then
  return '0'
end
local now = redis.call('TIME')
epoch = string.format('%.0f', math.max(tonumber(epoch) + 1, tonumber(ARGV[5]) + 1, now[1] * 1000000 + now[2]))
redis.call('HSET', KEYS[1], 'epoch:' .. ARGV[2], epoch, 'value:' .. ARGV[2], ARGV[3], 'life:' .. ARGV[2], incarnation)
local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('PUBLISH', ARGV[6], incarnation .. string.format('%016x', n) .. ARGV[7])
return epoch
`)

// ReadRegister implements invalidation.Registrar.
func (t *transport) ReadRegister(ctx context.Context, name string) (invalidation.Registered, error) {
	reply, err := redisconn.Do(ctx, t.conn, func(ctx context.Context) ([]any, error) {
		return readScript.Run(ctx, t.conn.Client(), []string{t.names.log}, newNonce(), name).Slice()
	})
	if err != nil {
		return invalidation.Registered{}, t.wrap(ctx, "read a register", err)
	}
	if len(reply) == 3 {
		text, okText := reply[0].(string)
		value, okValue := reply[1].(string)
		current, okCurrent := reply[2].(int64)
		if epoch, ok := readEpoch(text); ok && okText && okValue && okCurrent {
			if epoch == 0 {
				return invalidation.Registered{}, nil
			}
			return invalidation.Registered{Value: []byte(value), Epoch: epoch, Current: current == 1}, nil
		}
	}
	return invalidation.Registered{}, fmt.Errorf("redisbus: the server's answer %.80q is no register", fmt.Sprint(reply...))
}

// WriteRegister implements invalidation.Registrar.
func (t *transport) WriteRegister(ctx context.Context, name string, w invalidation.RegisterWrite) (epoch uint64, written bool, err error) {
	text, err := redisconn.Do(ctx, t.conn, func(ctx context.Context) (string, error) {
		return writeScript.Run(ctx, t.conn.Client(), []string{t.names.log}, newNonce(), name,
			w.Value, strconv.FormatUint(w.Epoch, 10), strconv.FormatUint(w.Above, 10), t.names.frames, w.Frame).Text()
	})
	if err != nil {
		return 0, false, t.wrap(ctx, "write a register", err)
	}
	epoch, ok := readEpoch(text)
	if !ok {
		return 0, false, fmt.Errorf("redisbus: the server's answer %.80q is no epoch", text)
	}
	return epoch, epoch > 0, nil
}

// readEpoch reads an epoch as a script writes it.
func readEpoch(text string) (epoch uint64, ok bool) {
	epoch, err := strconv.ParseUint(text, 10, 64)
	return epoch, err == nil && epoch <= invalidation.MaxEpoch
}
