package memcachedbus

import (
	"fmt"
	"strings"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

// Defaults of [Options].
const (
	DefaultName = "bus"
	DefaultPoll = 100 * time.Millisecond
)

// MinPoll is the shortest time between two looks at the log.
const MinPoll = time.Millisecond

const maxName = 100

// Options are the settings of a bus on Memcached. nil and the zero value of every field mean the default.
type Options struct {
	// Options of the bus itself.
	invalidation.Options

	// Name tells buses on the same servers apart, and decides which of them has the log; all nodes of a fleet use the same name
	// and the same servers. Letters, digits, '-', '_', '.' and ':', at most 100. Default: DefaultName.
	Name string

	// Poll is how long after its last look at the log this node looks again, at least MinPoll. It says how soon announcements and
	// hints of others are heard, and costs one request each time. It bounds nothing: publishing looks as well, each
	// heartbeat too, and MaxStaleness holds whatever it is. Default: DefaultPoll.
	Poll time.Duration
}

func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Name == "" {
		out.Name = DefaultName
	}
	if out.Poll == 0 {
		out.Poll = DefaultPoll
	}
	if len(out.Name) > maxName {
		return out, fmt.Errorf("memcachedbus: Options.Name has %d bytes: at most %d", len(out.Name), maxName)
	}
	for _, r := range out.Name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r)) {
			return out, fmt.Errorf("memcachedbus: Options.Name is %q: only letters, digits, '-', '_', '.' and ':'", out.Name)
		}
	}
	if out.Poll < MinPoll {
		return out, fmt.Errorf("memcachedbus: Options.Poll is %v: at least %v", out.Poll, MinPoll)
	}
	return out, nil
}

// names are the keys that the bus uses. All begin with the same braces, so that one server owns them.
type names struct{ log, hints, page string }

func (o *Options) names() names {
	tag := "{strata:" + o.Name + "}"
	return names{log: tag + ":log", hints: tag + ":hints", page: tag + ":page:"}
}
