package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend"
)

// A Target is a backend to run on.
type Target struct {
	Name  string         // for the report; without secrets
	Store *backend.Store // the caller closes it, after the run
}

// Config says what to run. The zero value of each field below Targets means its default.
type Config struct {
	Workload Workload
	Targets  []Target // each must be another one

	// Rounds is how many turns each target takes. Default 1.
	Rounds int

	// Turn is how long a turn takes on a workload without an end. Default 5 s. A replayed trace takes as long as it takes.
	Turn time.Duration

	// Concurrency is how many readers there are at a time. Default 8, at most 4096.
	Concurrency int

	// ValueSize is the size of each value, in bytes. Default 256, at most 32 MiB.
	ValueSize int

	// LocalCost is how many bytes the local tier may hold. Default 256 MiB; negative turns it off.
	LocalCost int64

	// TTL is how long values live, and thus how long they stay at the backend after the run. Default 10 minutes.
	TTL time.Duration

	// SourceDelay is how long the source takes for a load. Default 0.
	SourceDelay time.Duration

	// Seed makes the accesses of generated workloads. Default 1.
	Seed uint64

	// Progress, if set, is told from time to time how far a turn is. It must not block.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Target   string
	Round    int     // from 1
	Done     float64 // share of the whole run, from 0 to 1
	Accesses uint64  // of this turn
}

const (
	defaultTurn        = 5 * time.Second
	defaultConcurrency = 8
	defaultValueSize   = 256
	defaultLocalCost   = 256 << 20
	defaultTTL         = 10 * time.Minute

	maxConcurrency = 4096
	maxValueSize   = 32 << 20
)

// withDefaults returns a copy of c that is complete, or an error that names everything wrong with it.
func (c *Config) withDefaults() (*Config, error) {
	if c == nil {
		c = &Config{}
	}
	d := *c
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf("bench: "+format, args...))
		}
	}
	check(d.Workload != nil, "Workload is missing")
	check(len(d.Targets) > 0, "Targets is empty")
	for i, t := range d.Targets {
		check(t.Store != nil, "Targets[%d].Store is nil", i)
	}
	check(d.Rounds >= 0, "Rounds is %d, must not be negative", d.Rounds)
	check(d.Turn >= 0, "Turn is %v, must not be negative", d.Turn)
	check(d.Concurrency >= 0 && d.Concurrency <= maxConcurrency, "Concurrency is %d, must be from 1 to %d", d.Concurrency, maxConcurrency)
	check(d.ValueSize >= 0 && d.ValueSize <= maxValueSize, "ValueSize is %d, must be from 1 to %d", d.ValueSize, maxValueSize)
	check(d.TTL >= 0, "TTL is %v, must not be negative", d.TTL)
	check(d.SourceDelay >= 0, "SourceDelay is %v, must not be negative", d.SourceDelay)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	d.Rounds = or(d.Rounds, 1)
	d.Turn = or(d.Turn, defaultTurn)
	d.Concurrency = or(d.Concurrency, defaultConcurrency)
	d.ValueSize = or(d.ValueSize, defaultValueSize)
	d.LocalCost = or(d.LocalCost, defaultLocalCost)
	d.TTL = or(d.TTL, defaultTTL)
	d.Seed = or(d.Seed, 1)
	return &d, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
