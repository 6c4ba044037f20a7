package redisbus

import (
	"context"
	"fmt"
	"strconv"

	"github.com/strata-cache/strata/invalidation"
)

// Registers are fields of the log's own hash, four each: epoch:NAME, since:NAME, value:NAME, and life:NAME, the incarnation in
// which the value was written. So a log that is evicted or deleted takes them along: its next incarnation flushes all nodes,
// which tells those who watch a register to look, and none is lost unseen.
//
// ARGV[1] is the nonce of a log that does not exist yet, ARGV[2] the register's name.

const registerLua = incarnationLua + `
local epoch, since, value, life = unpack(redis.call('HMGET', KEYS[1],
  'epoch:' .. ARGV[2], 'since:' .. ARGV[2], 'value:' .. ARGV[2], 'life:' .. ARGV[2]))
local current = life == incarnation
`

// readScript returns epoch, since, value, and whether the value is of this incarnation.
var readScript = newScript(registerLua + `
return {epoch or '0', since or '0', value or '', current and 1 or 0}
`)

// writeScript stores the value ARGV[3] if epoch ARGV[4] stands there, under an epoch above ARGV[5], and publishes the frame
// ARGV[10] at the log's next position on the channel ARGV[7], keeping as much as ARGV[8] and ARGV[9] say. ARGV[6] is the epoch since which the value stands; '0' for a new
// one, which takes the place of a current one only. It returns the new epoch, '0' if it did nothing.
//
// The epoch is the greatest of three: one more than stood there, one more than the writing node has seen, and the clock in
// microseconds, which a server that lost everything still has.
var writeScript = newScript(registerLua + appendLua + `
if (epoch or '0') ~= ARGV[4] or epoch and not current and ARGV[6] == '0' then
  return '0'
end
local now = redis.call('TIME')
epoch = string.format('%.0f', math.max(tonumber(ARGV[4]) + 1, tonumber(ARGV[5]) + 1, now[1] * 1000000 + now[2]))
since = ARGV[6] == '0' and epoch or ARGV[6]
redis.call('HSET', KEYS[1],
  'epoch:' .. ARGV[2], epoch, 'since:' .. ARGV[2], since, 'value:' .. ARGV[2], ARGV[3], 'life:' .. ARGV[2], incarnation)
append(ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), 10, 10)
return epoch
`)

// ReadRegister implements invalidation.Registrar.
func (t *transport) ReadRegister(ctx context.Context, name string) (invalidation.Registered, error) {
	answer, err := t.eval(ctx, readScript, name)
	if err != nil {
		return invalidation.Registered{}, t.wrap(ctx, "read a register", err)
	}
	if reply, ok := answer.([]any); ok && len(reply) == 4 {
		epoch, okEpoch := readEpoch(reply[0])
		since, okSince := readEpoch(reply[1])
		value, okValue := reply[2].(string)
		current, okCurrent := reply[3].(int64)
		switch {
		case !okEpoch || !okSince || !okValue || !okCurrent || since > epoch:
		case epoch == 0:
			return invalidation.Registered{}, nil
		default:
			return invalidation.Registered{Value: []byte(value), Epoch: epoch, Since: since, Current: current == 1}, nil
		}
	}
	return invalidation.Registered{}, fmt.Errorf("redisbus: the server's answer %.80q is no register", fmt.Sprint(answer))
}

// WriteRegister implements invalidation.Registrar.
func (t *transport) WriteRegister(ctx context.Context, name string, w invalidation.RegisterWrite) (epoch uint64, written bool, err error) {
	answer, err := t.eval(ctx, writeScript, name,
		w.Value, strconv.FormatUint(w.Epoch, 10), strconv.FormatUint(w.Above, 10), strconv.FormatUint(w.Since, 10), t.names.frames,
		t.reach.frames, t.reach.bytes, w.Frame)
	if err != nil {
		return 0, false, t.wrap(ctx, "write a register", err)
	}
	epoch, ok := readEpoch(answer)
	if !ok {
		return 0, false, fmt.Errorf("redisbus: the server's answer %.80q is no epoch", fmt.Sprint(answer))
	}
	return epoch, epoch > 0, nil
}

// readEpoch reads an epoch as a script writes it.
func readEpoch(reply any) (epoch uint64, ok bool) {
	text, ok := reply.(string)
	epoch, err := strconv.ParseUint(text, 10, 64)
	return epoch, ok && err == nil && epoch <= invalidation.MaxEpoch
}
