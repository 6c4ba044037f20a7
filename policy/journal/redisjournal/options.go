package redisjournal

import (
	"fmt"
	"strings"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/remotekey"
)

// DefaultPrefix begins the keys of queues, where Options.Prefix does not say otherwise.
const DefaultPrefix = "strata-journal"

// Options are the settings of a journal on Redis. nil and the zero value of every field mean the default.
type Options struct {
	// Prefix tells journals on one database apart; all nodes of a fleet use the same. Letters, digits, '-', '_', '.' and ':'.
	// Default: DefaultPrefix.
	Prefix string

	// AllowVolatile takes a server that may lose accepted writes by itself: one that evicts keys, or has no append-only file.
	// Default: it is refused with a *VolatileError.
	AllowVolatile bool
}

func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Prefix == "" {
		out.Prefix = DefaultPrefix
	}
	for _, r := range out.Prefix {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r)) {
			return out, fmt.Errorf("redisjournal: Options.Prefix is %q: only letters, digits, '-', '_', '.' and ':'", out.Prefix)
		}
	}
	return out, nil
}

// The keys of a queue, in the order in which scripts have them.
const (
	keyMeta = iota
	keyList
	keyHeads
	keyBodies
	keyHeld
	keyDead
)

func (o *Options) keys(name string) []string {
	tag := "{" + o.Prefix + ":" + remotekey.Escape(name) + "}:"
	return []string{tag + "meta", tag + "list", tag + "heads", tag + "bodies", tag + "held", tag + "dead"}
}

// client is where a journal finds the connection of a store.
type client interface{ As(target any) bool }

func connOf(from client) *redisconn.Conn {
	var conn *redisconn.Conn
	if from == nil || !from.As(&conn) {
		return nil
	}
	return conn
}
