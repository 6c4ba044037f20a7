package redisconn

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// A watch is a hook of the library's that is called when something fails at a server in a way that another server, or a
// change of roles, may be the reason for.
type watch func()

func (w watch) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		w.saw(err)
		return conn, err
	}
}

func (w watch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		w.saw(err)
		return err
	}
}

func (w watch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		w.saw(err)
		return err
	}
}

func (w watch) saw(err error) {
	if err == nil || errors.Is(err, context.Canceled) || HasPrefix(err, "ASK ") { // ASK: the owner is still the same
		return
	}
	if class := classOf(err); class == unreachable || class == ofContext {
		w()
	}
}
