package memcachedconn

import (
	"errors"
	"fmt"
	"time"
)

// Defaults of [Options].
const (
	DefaultTimeout     = 500 * time.Millisecond
	DefaultConnections = 64
	DefaultItemSize    = 1 << 20
)

const (
	minItemSize = 1 << 10
	maxItemSize = 1 << 30 // memcached's own limit for -I
	maxPoolName = 100
)

// Options are the settings of a pool. A nil *Options and the zero value of every field mean the default. A value in
// the URL wins over the field.
type Options struct {
	// Timeout bounds each call to a server as a whole. Default: DefaultTimeout. URL parameter: timeout.
	Timeout time.Duration

	// Connections is the highest number of connections to each server. Default: DefaultConnections. URL parameter:
	// connections.
	Connections int

	// ItemSize is what the servers were given by -I: the size of the largest item in bytes, key and overhead included.
	// Default: DefaultItemSize, which is theirs. URL parameter: item_size.
	ItemSize int

	// Pool names the pool. Its keys are those of no other name on the same servers. Default: "". URL parameter: pool.
	Pool string
}

// resolve returns a copy with defaults in place, or every problem.
func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Timeout == 0 {
		out.Timeout = DefaultTimeout
	}
	if out.Connections == 0 {
		out.Connections = DefaultConnections
	}
	if out.ItemSize == 0 {
		out.ItemSize = DefaultItemSize
	}
	var problems []error
	if out.Timeout < 0 {
		problems = append(problems, fmt.Errorf("Options.Timeout is %v: must not be negative", out.Timeout))
	}
	if out.Connections < 0 {
		problems = append(problems, fmt.Errorf("Options.Connections is %d: must not be negative", out.Connections))
	}
	if out.ItemSize < minItemSize || out.ItemSize > maxItemSize {
		problems = append(problems, fmt.Errorf("Options.ItemSize is %d: must be %d to %d", out.ItemSize, minItemSize, maxItemSize))
	}
	if len(out.Pool) > maxPoolName {
		problems = append(problems, fmt.Errorf("Options.Pool has %d bytes: must have at most %d", len(out.Pool), maxPoolName))
	}
	return out, errors.Join(problems...)
}
