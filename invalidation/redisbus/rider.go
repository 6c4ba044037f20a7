package redisbus

import (
	"context"
	"fmt"
	"strings"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
)

// riderScript is appendScript with an answer of one string: the position, its place once more, and why the frames were not kept.
var riderScript = newScript(incarnationLua + appendLua + `
local n = append(ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), 5, #ARGV)
return incarnation .. place(n) .. place(n) .. unlogged
`)

// Rider implements invalidation.Rideable. On a cluster nothing rides.
func (t *transport) Rider(ctx context.Context, frames [][]byte) (invalidation.Rider, error) {
	if t.conn.Clustered() || t.owned {
		return nil, fmt.Errorf("redisbus: a rider: %w", invalidation.ErrUnsupported)
	}
	n, err := t.conn.Primary(ctx, t.names.log)
	if err != nil {
		return nil, err
	}
	t.follow(n)
	args := []any{newNonce(), t.names.frames, t.reach.frames, t.reach.bytes}
	for _, frame := range frames {
		args = append(args, frame)
	}
	return &redisconn.Rider{
		Conn: t.conn, Source: riderScript.source, Digest: riderScript.digest,
		Keys: []string{t.names.log, t.names.recent}, Args: args,
	}, nil
}

// Rode implements invalidation.Rideable.
func (t *transport) Rode(reply []byte) (p invalidation.Position, err error) {
	text := string(reply)
	if len(text) < positionSize || readPosition(&p, text[:positionSize]) != nil {
		return invalidation.Position{}, errPosition
	}
	unlogged, again := strings.CutPrefix(text[positionSize:], text[positionSize-placeSize:positionSize])
	if !again {
		return invalidation.Position{}, errPosition
	}
	t.unlogged.Store(&unlogged)
	return p, nil
}
