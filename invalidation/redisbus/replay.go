package redisbus

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/invalidation"
)

// replayPage is how many frames one call of the script returns: a server works on one thing at a time.
const replayPage = 1024

// replayScript returns the incarnation, and of the frames that are kept those after ARGV[2] to ARGV[3], as they were published,
// if none is missing. It counts from the newest, whose place it reads. What it returns says its own position, and is believed
// only for that: holes are left by a node that does not keep frames, which older versions do not, and another incarnation's
// frames by a server that has restarted.
var replayScript = newScript(incarnationLua + `
local after, through = tonumber(ARGV[2]), tonumber(ARGV[3])
local newest = redis.call('LRANGE', KEYS[2], -1, -1)[1]
newest = newest and tonumber(string.sub(newest, 33, 48), 16) or 0
if through > newest then
  return {incarnation}
end
local reply = redis.call('LRANGE', KEYS[2], after - newest, through - newest - 1)
table.insert(reply, 1, incarnation)
return reply
`)

// Replay implements invalidation.Replayer.
func (t *transport) Replay(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error) {
	if t.reach.frames == 0 {
		return nil, fmt.Errorf("redisbus: replay: Options.LogFrames is negative: %w", invalidation.ErrUnsupported)
	}
	frames := make([][]byte, 0, through-after.N)
	size := 0
	for after.N < through {
		page := min(through, after.N+replayPage)
		reply, err := t.eval(ctx, replayScript, after.N, page)
		if err != nil {
			return nil, t.wrap(ctx, "replay", err)
		}
		for _, payload := range readPage(reply, after, page) {
			frames = append(frames, payload)
			size += len(payload)
			after.N++
		}
		if after.N != page || size > invalidation.MaxReplayBytes {
			return nil, t.gone(after)
		}
	}
	return frames, nil
}

// readPage returns the frames from after to through, and nothing if a single one is not what and where it should be.
func readPage(answer any, after invalidation.Position, through uint64) [][]byte {
	reply, ok := answer.([]any)
	if !ok || uint64(len(reply)) != 1+through-after.N {
		return nil
	}
	var now invalidation.Position
	if text, ok := reply[0].(string); !ok || readIncarnation(&now, text) != nil || now.Incarnation != after.Incarnation {
		return nil
	}
	frames := make([][]byte, 0, len(reply)-1)
	for _, entry := range reply[1:] {
		payload, _ := entry.(string)
		p, frame, err := readPayload(payload)
		after.N++
		if err != nil || p != after {
			return nil
		}
		frames = append(frames, frame)
	}
	return frames
}

// gone says that the log does not hold what comes after a position, and why, if this node knows.
func (t *transport) gone(after invalidation.Position) error {
	if why := t.unlogged.Load(); why != nil && *why != "" {
		return fmt.Errorf("redisbus: replay after %v: the server keeps no frames: %s: %w", after, *why, invalidation.ErrGone)
	}
	return fmt.Errorf("redisbus: replay after %v: %w", after, invalidation.ErrGone)
}
