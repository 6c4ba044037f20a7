package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
)

// WriteWith sends ops and riders in one pipeline, so that each rider runs after all ops. It takes the riders of its own connection,
// to a single server or one that sentinels watch: members of a cluster do not share their order.
func (d *store) WriteWith(ctx context.Context, ops []driver.Op, riders ...driver.Rider) ([]driver.Effect, [][]byte, error) {
	if len(riders) == 0 {
		return d.Write(ctx, ops), nil, nil
	}
	if d.conn.Clustered() || len(ops) > 0 && part(ops) < len(ops) {
		return nil, nil, errNoRiders
	}
	ours := make([]*redisconn.Rider, len(riders))
	for i, r := range riders {
		rider, ok := r.(*redisconn.Rider)
		if !ok || rider.Conn != d.conn {
			return nil, nil, errNoRiders
		}
		ours[i] = rider
	}
	n, err := d.conn.Primary(ctx, "")
	if err != nil {
		return nil, nil, d.explain("write", d.conn.Server(), err)
	}
	effects, replies, whole := d.ride(ctx, n, ops, ours, false)
	if whole && ctx.Err() == nil {
		again := make([]driver.Op, 0, len(ops))
		at := make([]int, 0, len(ops))
		for i, e := range effects {
			if isNoScript(e.Err) {
				again, at = append(again, ops[i]), append(at, i)
			}
		}
		var late []driver.Effect
		late, replies, _ = d.ride(ctx, n, again, ours, true) // the riders too: they run after all ops
		for i, e := range late {
			effects[at[i]] = e
		}
	}
	return effects, replies, nil
}

var errNoRiders = fmt.Errorf("redis: riders that do not travel with these ops: %w", sentinel.ErrUnsupported)

// ride is one pipeline. The reply of a rider that has none is nil. lacking says that the server lacked a script.
func (d *store) ride(ctx context.Context, n *redisconn.Node, ops []driver.Op, riders []*redisconn.Rider, whole bool) (effects []driver.Effect, replies [][]byte, lacking bool) {
	effects, replies = make([]driver.Effect, len(ops)), make([][]byte, len(riders))
	cmds, err := d.pipeline(ctx, n, func(ctx context.Context) []goredis.Cmder {
		cmds := make([]goredis.Cmder, 0, len(ops)+len(riders))
		for i := range ops {
			cmds = append(cmds, applyScript.command(ctx, whole, ops[i].Key, arguments(&ops[i])))
		}
		for _, r := range riders {
			cmds = append(cmds, goredis.NewCmd(ctx, r.Command(whole)...))
		}
		return cmds
	})
	for i := range ops {
		var again bool
		effects[i], again = d.effectOf(n, cmds, i, err)
		lacking = lacking || again
	}
	if cmds == nil {
		return effects, replies, lacking
	}
	for i, cmd := range cmds[len(ops):] {
		if text, err := cmd.(*goredis.Cmd).Text(); err == nil {
			replies[i] = []byte(text)
		}
		lacking = lacking || isNoScript(cmd.Err())
	}
	return effects, replies, lacking
}
