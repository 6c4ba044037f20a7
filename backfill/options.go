package backfill

import (
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/tier"
)

// Options say how a run goes on. Nil and the zero value are the defaults.
type Options[K comparable] struct {
	// Rate is how many keys a second are asked for, tries again included. Default 1000; negative: as many as go.
	Rate float64

	// Batch is how many keys are asked for at once. Default 100.
	Batch int

	// Workers is how many batches are asked for at a time. Default 2.
	Workers int

	// Retries is how often what failed is tried again. Default 5; negative: never.
	Retries int

	// Pause is the time before the first of these, with jitter; each time it doubles, up to 100 times of it. Default 200 ms.
	Pause time.Duration

	// MaxFailed is after how many failed keys the run ends with an error. Default 1000.
	MaxFailed int

	// Reload loads what the cache has already as well. It does not go with items that have a value.
	Reload bool

	// Call are options of each call of the cache: tier.SkipLocalWrite() leaves what this process holds in memory as it is.
	Call []tier.Option

	// Checkpoint is where to begin, and is told each SavePause, and in the end, up to where all is done. Default nil: the run
	// begins from the start.
	Checkpoint Checkpoint

	// SavePause is the time between two checkpoints. Default 1 s.
	SavePause time.Duration

	// Progress is told how far it is, each second and in the end, by one call at a time. It must not block. Default nil.
	Progress func(Progress)

	// Failed is told of a key that failed each time. If it returns nil the key counts as done; with an error the run ends. It is called by
	// one goroutine at a time. Default nil: such keys are not done.
	Failed func(key K, err error) error
}

func (o *Options[K]) withDefaults() (Options[K], error) {
	var d Options[K]
	if o != nil {
		d = *o
	}
	var errs []error
	number := func(name string, n *int, most, otherwise int) {
		if *n < 0 || *n > most {
			errs = append(errs, fmt.Errorf("%s %d: must be from 1 to %d", name, *n, most))
		} else if *n == 0 {
			*n = otherwise
		}
	}
	number("Batch", &d.Batch, 100_000, 100)
	number("Workers", &d.Workers, 1000, 2)
	number("MaxFailed", &d.MaxFailed, 1<<30, 1000)
	switch {
	case d.Retries == 0:
		d.Retries = 5
	case d.Retries < 0:
		d.Retries = 0
	}
	for name, p := range map[string]*time.Duration{"Pause": &d.Pause, "SavePause": &d.SavePause} {
		if *p < 0 {
			errs = append(errs, fmt.Errorf("%s %v: must not be negative", name, *p))
		}
	}
	if d.Pause == 0 {
		d.Pause = 200 * time.Millisecond
	}
	if d.SavePause == 0 {
		d.SavePause = time.Second
	}
	if d.Rate == 0 {
		d.Rate = 1000
	}
	if err := errors.Join(errs...); err != nil {
		return d, fmt.Errorf("backfill: %w", err)
	}
	return d, nil
}

// Progress is how far a run is.
type Progress struct {
	Loaded   int // keys that are in the cache by this run
	Present  int // that it had already
	Absent   int // which the source does not have
	Failed   int // each time that they were tried
	Tries    int // keys asked for, each time counted
	Elapsed  time.Duration
	Position []byte // up to where all is done, nil if that is not known
}

// Done is how many keys are done with, failed ones included.
func (p Progress) Done() int { return p.Loaded + p.Present + p.Absent + p.Failed }

// Rate is how many keys a second were done with.
func (p Progress) Rate() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Done()) / p.Elapsed.Seconds()
}

// A Report is how far a run came, and why it did not come further.
type Report[K comparable] struct {
	Progress
	Failures []Failure[K] // the keys that failed, at most MaxFailed and those of the batches under way then
}

// A Failure is a key that failed each time, and why the last time.
type Failure[K comparable] struct {
	Key K
	Err error
}
