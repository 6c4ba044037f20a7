package redisbus

import (
	"cmp"
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

	// LogFrames and LogBytes are how many of the newest frames the server keeps, and how many bytes of them, for nodes that
	// missed some: what reaches further back costs such a node a flush. Every heartbeat is a frame too, of some 200 bytes, and
	// each node sends one in a fifth of its smallest MaxStaleness: the default of 8192 frames is half a minute of 160 nodes at
	// 3 s, and a quarter of a minute of 100 nodes at 1 s. The bus asks for at most invalidation.MaxReplay frames. All nodes of
	// a fleet should have the same; of those who differ the smallest counts. A negative LogFrames keeps nothing, and cannot be
	// together with Keys.
	// Default: 8192 frames, 8 MiB.
	LogFrames, LogBytes int
}

// The defaults of Options.LogFrames and LogBytes, and the most that LogBytes may be: a server is not for keeping logs.
const (
	defaultLogFrames = invalidation.MaxReplay
	defaultLogBytes  = 8 << 20
	maxLogBytes      = 64 << 20
)

// reach is how much of the log the server keeps: nothing, if frames is 0.
type reach struct{ frames, bytes int }

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
	if out.Keys != nil && out.LogFrames < 0 {
		return out, fmt.Errorf("redisbus: Options.LogFrames is %d, and Options.Keys is set: what was under way when a node began to listen is told from a replay by the log", out.LogFrames)
	}
	if out.LogBytes < 0 || out.LogBytes > maxLogBytes {
		return out, fmt.Errorf("redisbus: Options.LogBytes is %d: from 0, which is the default, to %d", out.LogBytes, maxLogBytes)
	}
	return out, nil
}

func (o *Options) reach() reach {
	return reach{frames: max(cmp.Or(o.LogFrames, defaultLogFrames), 0), bytes: cmp.Or(o.LogBytes, defaultLogBytes)}
}

// names are what the bus uses on the server.
type names struct{ log, recent, frames, hints string }

func (o *Options) names(conn *redisconn.Conn) names {
	tag := "{strata:" + o.Name
	if db := conn.DB(); db != 0 {
		tag += "@" + strconv.Itoa(db)
	}
	tag += "}"
	return names{log: tag + ":log", recent: tag + ":recent", frames: tag + ":frames", hints: tag + ":hints"}
}
