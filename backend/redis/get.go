package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
)

// Get asks for several keys by one MGET, of a cluster by a pipeline for each server. A single key may wait for a short
// while, and travel with others that waited.
func (d *store) Get(ctx context.Context, keys []string) []driver.Result {
	if len(keys) == 1 {
		record, err := d.batcher(keys[0]).get(ctx, keys[0])
		return []driver.Result{{Record: record, Err: err}}
	}
	return d.fetch(ctx, keys)
}

// fetch returns what is at each key, in one round trip to each server that owns some. Nobody else refers to the bytes.
func (d *store) fetch(ctx context.Context, keys []string) []driver.Result {
	groups, err := d.conn.Groups(ctx, keys)
	if err != nil {
		return repeat(len(keys), driver.Result{Err: d.explain("get", d.conn.Server(), err)})
	}
	return spread(groups, keys, func(g redisconn.Group, keys []string) []driver.Result {
		if g.Err != nil {
			return repeat(len(keys), driver.Result{Err: d.explain("get", d.conn.Server(), g.Err)})
		}
		return d.read(ctx, g.Node, keys)
	})
}

// GetStale asks replicas, which may be behind, and the primaries for what no replica tells.
func (d *store) GetStale(ctx context.Context, keys []string) []driver.Result {
	groups, err := d.conn.ReplicaGroups(ctx, keys)
	if err != nil {
		return d.Get(ctx, keys) // which says why
	}
	asked := make([]bool, len(keys))
	results := spread(groups, keys, func(g redisconn.Group, keys []string) []driver.Result {
		if g.Node == nil {
			return repeat(len(keys), driver.Result{Err: errNoReplica})
		}
		return d.read(ctx, g.Node, keys)
	})
	var left []string
	for i, r := range results {
		if r.Err != nil && ctx.Err() == nil {
			asked[i] = true
			left = append(left, keys[i])
		}
	}
	if len(left) == 0 {
		return results
	}
	rest := d.Get(ctx, left)
	for i := range results {
		if asked[i] {
			results[i], rest = rest[0], rest[1:]
		}
	}
	return results
}

var errNoReplica = errors.New("redis: no replica")

// read asks one server, in one round trip, and in another for keys of which it would not tell together with others.
func (d *store) read(ctx context.Context, n *redisconn.Node, keys []string) []driver.Result {
	if len(keys) == 1 {
		return []driver.Result{d.readOne(ctx, n, keys[0])}
	}
	results, err := redisconn.DoAt(ctx, d.conn, n, func(ctx context.Context) ([]driver.Result, error) {
		results := make([]driver.Result, len(keys))
		err := d.ask(ctx, n, keys, d.together(keys), results)
		var alone [][]int
		for i, r := range results {
			if apart(r.Err) {
				alone = append(alone, []int{i})
			}
		}
		if len(alone) > 0 && (err == nil || redisconn.TooMuchTogether(err)) {
			err = d.ask(ctx, n, keys, alone, results)
		}
		return results, err
	})
	if results == nil {
		return repeat(len(keys), driver.Result{Err: d.explain("get", n.Server(), err)})
	}
	for i, r := range results {
		if r.Err != nil && !isReply(r.Err) && err != nil {
			r.Err = err // the connection's, which is classified
		}
		results[i].Err = d.explain("get", n.Server(), r.Err)
	}
	return results
}

func (d *store) readOne(ctx context.Context, n *redisconn.Node, key string) driver.Result {
	record, err := redisconn.DoAt(ctx, d.conn, n, func(ctx context.Context) ([]byte, error) {
		cmd := goredis.NewStringCmd(ctx, "get", key)
		d.conn.Exec(ctx, n, []goredis.Cmder{cmd})
		if errors.Is(cmd.Err(), goredis.Nil) {
			return nil, nil
		}
		return cmd.Bytes()
	})
	if err != nil {
		return driver.Result{Err: d.explain("get", n.Server(), err)}
	}
	return driver.Result{Record: record}
}

// apart reports whether several keys could not be had for what may concern one of them only, one that the user may not read
// or that is on its way to another member of the cluster, or for all their records being too much for one reply.
func apart(err error) bool {
	return redisconn.HasPrefix(err, "NOPERM") || redisconn.HasPrefix(err, "TRYAGAIN") || redisconn.TooMuchTogether(err)
}

// together says which keys one command asks for: all, or in a cluster those of a slot.
func (d *store) together(keys []string) [][]int {
	if !d.conn.Clustered() {
		all := make([]int, len(keys))
		for i := range keys {
			all[i] = i
		}
		return [][]int{all}
	}
	var sets [][]int
	at := make(map[int]int, len(keys))
	for i, key := range keys {
		slot := redisconn.Slot(key)
		n, ok := at[slot]
		if !ok {
			n = len(sets)
			at[slot] = n
			sets = append(sets, nil)
		}
		sets[n] = append(sets[n], i)
	}
	return sets
}

// ask asks for sets of keys in one go, and sets their results. It returns the error of a command that was not answered.
func (d *store) ask(ctx context.Context, n *redisconn.Node, keys []string, sets [][]int, results []driver.Result) error {
	cmds := make([]goredis.Cmder, len(sets))
	for s, set := range sets {
		if len(set) == 1 {
			cmds[s] = goredis.NewStringCmd(ctx, "get", keys[set[0]])
			continue
		}
		args := make([]any, 1, 1+len(set))
		args[0] = "mget"
		for _, i := range set {
			args = append(args, keys[i])
		}
		cmds[s] = goredis.NewSliceCmd(ctx, args...)
	}
	d.conn.Exec(ctx, n, cmds)
	var failed error
	for s, set := range sets {
		err := cmds[s].Err()
		if err != nil && !isReply(err) && failed == nil {
			failed = err
		}
		switch cmd := cmds[s].(type) {
		case *goredis.StringCmd:
			results[set[0]] = valueOf(cmd)
		case *goredis.SliceCmd:
			valuesOf(cmd, set, results)
		}
	}
	return failed
}

func valueOf(cmd *goredis.StringCmd) driver.Result {
	record, err := cmd.Bytes()
	switch {
	case errors.Is(err, goredis.Nil):
		return driver.Result{}
	case err != nil:
		return driver.Result{Err: err}
	}
	return driver.Result{Record: record}
}

// valuesOf sets the results of the keys in set. An answer that is none is an error of each.
func valuesOf(cmd *goredis.SliceCmd, set []int, results []driver.Result) {
	values, err := cmd.Result()
	if err == nil && len(values) != len(set) {
		err = senseless(fmt.Sprintf("%d values for %d keys", len(values), len(set)))
	}
	for at, i := range set {
		results[i] = driver.Result{Err: err}
		if err != nil {
			continue
		}
		switch v := values[at].(type) {
		case nil:
		case string:
			results[i].Record = []byte(v)
		case error:
			results[i].Err = v
		default:
			results[i].Err = senseless(fmt.Sprintf("a value of type %T", v))
		}
	}
}

// senseless says that a server's answer is none.
type senseless string

func (s senseless) Error() string { return "the answer makes no sense: " + string(s) }

// Is makes it an outage: a server that answers like that does not work.
func (senseless) Is(target error) bool { return target == sentinel.ErrUnavailable }
