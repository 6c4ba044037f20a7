package pgfeed

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Defaults of [Options].
const (
	DefaultInterval   = time.Second
	DefaultTimeout    = 5 * time.Second
	DefaultMaxBacklog = 10_000
	DefaultRetention  = 24 * time.Hour
)

// Options are the settings of a feed. nil and the zero value of every field mean the default; negative values are errors.
type Options struct {
	// Schema is what SetupSQL was given. Default: DefaultSchema.
	Schema string

	// Interval is how long a feed waits to be notified before it looks by itself: at the outbox, or whether the connection
	// still is one. Default: DefaultInterval.
	Interval time.Duration

	// Timeout bounds each step at the server; a connection on which one takes longer is replaced. Handlers are not bounded.
	// Default: DefaultTimeout.
	Timeout time.Duration

	// MaxBacklog is how many changes are told at once; where more are waiting, the handler is told that it Missed some,
	// which is cheaper. Default: DefaultMaxBacklog.
	MaxBacklog int

	// Retention is for how long the outbox waits for a consumer that reads nothing; one that comes back later Missed some.
	// All consumers of an outbox should have the same. Default: DefaultRetention.
	Retention time.Duration

	// OnError is told why a feed begins anew, from the goroutine of Run. Default: nobody.
	OnError func(error)
}

func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	for name, v := range map[string]int64{
		"Interval": int64(out.Interval), "Timeout": int64(out.Timeout), "MaxBacklog": int64(out.MaxBacklog), "Retention": int64(out.Retention),
	} {
		if v < 0 {
			return out, fmt.Errorf("pgfeed: Options.%s must not be negative", name)
		}
	}
	out.Interval = cmp.Or(out.Interval, DefaultInterval)
	out.Timeout = cmp.Or(out.Timeout, DefaultTimeout)
	out.MaxBacklog = cmp.Or(out.MaxBacklog, DefaultMaxBacklog)
	out.Retention = cmp.Or(out.Retention, DefaultRetention)
	return out, nil
}

// configure reads a URL. What is wrong with it is not told: it may hold a password.
func configure(url string, timeout time.Duration) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("pgfeed: malformed URL (not shown, it may hold a password): want postgres://user@host/database?…")
	}
	config.ConnectTimeout = timeout
	for name, value := range map[string]string{
		"application_name": "strata",
		// A consumer that vanished must not keep its lock for hours.
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	} {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}
