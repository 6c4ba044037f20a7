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

// refusals are the server's answers to a client that it does not let in.
var refusals = []struct{ prefix, meaning string }{
	{"NOAUTH", "the server wants a password, and none was given"},
	{"WRONGPASS", "the server refused the user or password"},
	{"invalid password", "the server refused the password"},
	{"AUTH <password> called without any password", "a password was given, and the server has none"},
	{"Client sent AUTH, but no password is set", "a password was given, and the server has none"},
	{"NOPERM", "the server does not let this user do that"},
	{"DB index is out of range", "the server has no such database"},
}

// harmless are the beginnings of the answers of a server that did nothing. The scripts write in their last step only, so
// an error within one, too, means that nothing was written. Any other answer counts as an unknown outcome.
var harmless = []string{
	"NOSCRIPT", "OOM", "READONLY", "LOADING", "WRONGTYPE", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
	"CROSSSLOT", "NOREPLICAS", "MISCONF", "BUSY ", "max number of clients reached", "value is not an integer",
	"increment or decrement would overflow",
}

// explain says in err what was asked of which server. A context's own error passes untouched. NOAUTH and its like are as
// unavailable as a server that is down.
func (d *store) explain(what string, err error) error {
	if err == nil || isContext(err) {
		return err
	}
	for _, r := range refusals {
		if goredis.HasErrorPrefix(err, r.prefix) {
			return fmt.Errorf("redis: %s: %s: %s (%w): %w", what, d.conn.Server(), r.meaning, err, sentinel.ErrUnavailable)
		}
	}
	if goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return fmt.Errorf("redis: %s: %s: %w: %w", what, d.conn.Server(), errWrongType, err)
	}
	if isReply(err) {
		return fmt.Errorf("redis: %s: %s: %w", what, d.conn.Server(), redisconn.Classify(err))
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
	for _, r := range refusals {
		if goredis.HasErrorPrefix(err, r.prefix) {
			return true
		}
	}
	for _, prefix := range harmless {
		if goredis.HasErrorPrefix(err, prefix) {
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
