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

// errWrongType says that something that is no string is at a key of ours.
var errWrongType = errors.New("the key holds something else than a record (a list, hash, set …)")

// harmless are the beginnings of the answers of a server that did nothing. The scripts write in their last step only, so
// an error within one, too, means that nothing was written. Any other answer counts as an unknown outcome.
var harmless = []string{
	"NOSCRIPT", "OOM", "READONLY", "LOADING", "WRONGTYPE", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
	"CROSSSLOT", "NOREPLICAS", "MISCONF", "BUSY ", "max number of clients reached", "value is not an integer",
	"increment or decrement would overflow",
}

// explain says in err what was asked of which server. A context's own error passes untouched. Who is not let in finds the
// server as unavailable as one that is down.
func (d *store) explain(what, server string, err error) error {
	if err == nil || isContext(err) {
		return err
	}
	switch {
	case redisconn.Denied(err):
		return fmt.Errorf("redis: %s: %w", what, d.conn.Explain(server, err))
	case !d.conn.Clustered() && redisconn.HasPrefix(err, "MOVED "):
		return fmt.Errorf("redis: %s: %s: the server is a member of a cluster: open it as redis-cluster:// (%w): %w", what, server, err, sentinel.ErrUnavailable)
	case redisconn.HasPrefix(err, "WRONGTYPE"):
		return fmt.Errorf("redis: %s: %s: %w: %w", what, server, errWrongType, err)
	case isReply(err), errors.As(err, new(senseless)):
		return fmt.Errorf("redis: %s: %s: %w", what, server, redisconn.Classify(err))
	}
	return fmt.Errorf("redis: %s: %w", what, err)
}

// failed is the effect of an op that has no answer, or err for one.
func failed(err error) driver.Effect {
	e := driver.Effect{Outcome: driver.Unknown, Err: err}
	if redisconn.NotSent(err) || didNothing(err) {
		e.Outcome = driver.Unsent
	}
	return e
}

func didNothing(err error) bool {
	if redisconn.Denied(err) {
		return true
	}
	for _, prefix := range harmless {
		if redisconn.HasPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// isReply reports whether err is an answer of the server, or wraps one.
func isReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply)
}

func isContext(err error) bool {
	return err == context.Canceled || err == context.DeadlineExceeded
}
