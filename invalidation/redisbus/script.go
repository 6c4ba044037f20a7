package redisbus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
)

// incarnationLua begins every script: it leaves the incarnation of the log at KEYS[1], which it creates with the nonce ARGV[1]
// if there is none.
const incarnationLua = `
local nonce = redis.call('HGET', KEYS[1], 'nonce')
if not nonce then
  nonce = ARGV[1]
  redis.call('HSET', KEYS[1], 'nonce', nonce, 'n', 0)
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local repl = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local incarnation = string.sub(redis.sha1hex(nonce .. '/' .. run .. '/' .. repl), 1, 32)
local function place(n)
  return string.format('%016x', n)
end
`

// appendLua defines append, which gives the frames in ARGV from one index to another the next places in the log, keeps each in
// the list KEYS[2] to be given again, publishes it on a channel, and returns the last place. The list holds at most so many
// frames and bytes; its bytes are counted in the log's hash. Room is made before anything is put into it.
//
// Keeping may fail: for want of a permission, or because the key is something else. Then unlogged says why, and the frames are
// announced all the same: whoever misses one finds a hole, and flushes. A bus that nobody uses any more leaves the list for three days,
// or for good if the user may not let it expire.
const appendLua = `
local unlogged = ''
local function keep(command, ...)
  local reply = redis.pcall(command, KEYS[2], ...)
  if type(reply) == 'table' and reply.err then
    unlogged = command .. ': ' .. reply.err
    return nil
  end
  return reply
end
local function append(channel, mostFrames, mostBytes, from, to)
  local n = redis.call('HINCRBY', KEYS[1], 'n', to - from + 1) - (to - from + 1)
  local bytes = redis.call('HGET', KEYS[1], 'bytes')
  local length = mostFrames > 0 and from <= to and keep('LLEN')
  if length == 0 then
    bytes = 0
  end
  bytes = tonumber(bytes) or math.huge
  for i = from, to do
    n = n + 1
    local payload = incarnation .. place(n) .. ARGV[i] .. place(n)
    while length and length > 0 and (length >= mostFrames or bytes + #payload > mostBytes) do
      local oldest = keep('LPOP')
      length = oldest and length - 1
      bytes = bytes - #(oldest or '')
    end
    if length == 0 then
      bytes = 0
    end
    length = length and keep('RPUSH', payload)
    bytes = bytes + #payload
    redis.call('PUBLISH', channel, payload)
  end
  if length then
    redis.call('HSET', KEYS[1], 'bytes', bytes)
    redis.pcall('PEXPIRE', KEYS[2], 259200000)
  end
  return n
end
`

// appendScript appends ARGV[5…] to the log and publishes each with its position on the channel ARGV[2], keeping as many frames
// and bytes as ARGV[3] and ARGV[4] say; ARGV[1] is the nonce of a log that does not exist yet. Without frames it only tells
// the head. It returns the position, n once more, and why the frames were not kept, if so.
//
// The channel is an argument and not a key: plain PUBLISH has no slot.
var appendScript = newScript(incarnationLua + appendLua + `
local n = append(ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), 5, #ARGV)
return {incarnation .. place(n), n, unlogged}
`)

// A position is an incarnation and a place, in hexadecimal. A place is told twice, so that one that was changed on its way is noticed: a
// frame would count as another, and that one be lost. An incarnation need not be, as any other means a flush.
const (
	placeSize    = 16
	positionSize = 32 + placeSize
)

// publish appends frames at the server that owns the log.
func (t *transport) publish(ctx context.Context, frames [][]byte) (invalidation.Position, error) {
	args := make([]any, 0, 3+len(frames))
	args = append(args, t.names.frames, t.reach.frames, t.reach.bytes)
	for _, frame := range frames {
		args = append(args, frame)
	}
	reply, err := t.eval(ctx, appendScript, args...)
	if err != nil {
		return invalidation.Position{}, err
	}
	p, unlogged, err := readReply(reply)
	if err == nil {
		t.unlogged.Store(&unlogged)
	}
	return p, err
}

// head asks n itself, and no other server that it may point to, for the head of the log.
func (t *transport) head(ctx context.Context, n *redisconn.Node) (invalidation.Position, error) {
	reply, err := t.evalAt(ctx, n, func(ctx context.Context, cmd *redis.Cmd) { _ = n.Client().Process(ctx, cmd) }, appendScript, t.names.frames, 0, 0)
	if err != nil {
		return invalidation.Position{}, err
	}
	p, _, err := readReply(reply)
	return p, err
}

// A script is sent as its digest. Where the server does not have it, it says so without having done anything, and the source
// follows: nothing runs twice.
type script struct{ source, digest string }

func newScript(source string) *script {
	return &script{source: source, digest: redis.NewScript(source).Hash()}
}

// eval runs a script at the log, on the server that owns it. ARGV is a fresh nonce, then args. A subscription that is still at
// another server than the owner ends.
func (t *transport) eval(ctx context.Context, s *script, args ...any) (any, error) {
	n, err := t.conn.Primary(ctx, t.names.log)
	if err != nil {
		return nil, err
	}
	t.follow(n)
	return t.evalAt(ctx, n, func(ctx context.Context, cmd *redis.Cmd) { t.conn.Exec(ctx, n, []redis.Cmder{cmd}) }, s, args...)
}

func (t *transport) evalAt(ctx context.Context, n *redisconn.Node, send func(context.Context, *redis.Cmd), s *script, args ...any) (any, error) {
	run := func(ctx context.Context, name, what string) *redis.Cmd {
		all := append([]any{name, what, 2, t.names.log, t.names.recent, newNonce()}, args...)
		cmd := redis.NewCmd(ctx, all...)
		send(ctx, cmd)
		return cmd
	}
	reply, err := redisconn.DoAt(ctx, t.conn, n, func(ctx context.Context) (any, error) {
		cmd := run(ctx, "evalsha", s.digest)
		if redisconn.HasPrefix(cmd.Err(), "NOSCRIPT") {
			cmd = run(ctx, "eval", s.source)
		}
		return cmd.Result()
	})
	if command := s.failed(err); command != "" {
		err = fmt.Errorf("%w (%s)", err, command)
	}
	return reply, t.conn.Explain(n.Server(), err)
}

// failed returns the command at whose line the script ended, if err tells the line: of a user who may not run it Redis does not
// say which it was.
func (s *script) failed(err error) string {
	if err == nil {
		return ""
	}
	_, line, ok := strings.Cut(err.Error(), "@user_script:")
	if !ok {
		return ""
	}
	n, _ := strconv.Atoi(line[:len(line)-len(strings.TrimLeft(line, "0123456789"))])
	lines := strings.Split(s.source, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	_, call, _ := strings.Cut(lines[n-1], "redis.call('")
	name, _, _ := strings.Cut(call, "'")
	return name
}

// newNonce returns the nonce of a log that may have to be created.
func newNonce() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return hex.EncodeToString(nonce[:])
}

func readReply(answer any) (p invalidation.Position, unlogged string, err error) {
	if reply, ok := answer.([]any); ok && len(reply) == 3 {
		text, okText := reply[0].(string)
		n, okN := reply[1].(int64)
		unlogged, okUnlogged := reply[2].(string)
		if okText && okN && okUnlogged && readPosition(&p, text) == nil && p.N == uint64(n) {
			return p, unlogged, nil
		}
	}
	return invalidation.Position{}, "", fmt.Errorf("redisbus: the server's answer %.80q is not a position", fmt.Sprint(answer))
}

var errPosition = errors.New("redisbus: a message without a position")

// readPayload takes a published message apart.
func readPayload(payload string) (p invalidation.Position, frame []byte, err error) {
	if len(payload) <= positionSize || readPosition(&p, payload[:positionSize]) != nil {
		return invalidation.Position{}, nil, errPosition
	}
	// The first version told the place once. Of a frame behind which another place remains the checksum is wrong.
	text := strings.TrimSuffix(payload[positionSize:], payload[positionSize-placeSize:positionSize])
	return p, []byte(text), nil
}

func readPosition(p *invalidation.Position, text string) (err error) {
	if len(text) != positionSize || readIncarnation(p, text[:positionSize-placeSize]) != nil {
		return errPosition
	}
	if p.N, err = strconv.ParseUint(text[positionSize-placeSize:], 16, 64); err != nil {
		return errPosition
	}
	return nil
}

func readIncarnation(p *invalidation.Position, text string) error {
	if len(text) != 2*len(p.Incarnation) {
		return errPosition
	}
	_, err := hex.Decode(p.Incarnation[:], []byte(text))
	return err
}
