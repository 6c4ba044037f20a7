package redisbus

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
)

// DefaultName is the name of the bus of those who do not care.
const DefaultName = "bus"

// Options are the settings of a bus on Redis. nil and the zero value of every field mean the default.
type Options struct {
	// Options of the bus itself.
	invalidation.Options

	// Name tells buses on one server apart; all nodes of a fleet use the same. Letters, digits, '-', '_', '.' and ':'.
	// Default: DefaultName.
	Name string
}

func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Name == "" {
		out.Name = DefaultName
	}
	for _, r := range out.Name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r)) {
			return out, fmt.Errorf("redisbus: Options.Name is %q: only letters, digits, '-', '_', '.' and ':'", out.Name)
		}
	}
	return out, nil
}

// names are what the bus uses on the server.
type names struct{ log, frames, hints string }

func (o *Options) names(conn *redisconn.Conn) names {
	tag := "{strata:" + o.Name
	if db := conn.DB(); db != 0 {
		tag += "@" + strconv.Itoa(db)
	}
	tag += "}"
	return names{log: tag + ":log", frames: tag + ":frames", hints: tag + ":hints"}
}
