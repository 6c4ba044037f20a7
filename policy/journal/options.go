package journal

import (
	"errors"
	"fmt"
	"time"
)

// Full says what happens to a write of a key that is not pending yet when the queue is full.
type Full uint8

const (
	// Block waits until there is room, or the call's context ends. Default.
	Block Full = iota
	// Fail fails the write at once.
	Fail
	// Shed drops the write, counts it, and reports success: for what may be lost rather than hold up its writer. The cache drops what
	// it holds at the key, so that it shows what the source has.
	Shed
)

func (f Full) String() string {
	switch f {
	case Block:
		return "block"
	case Fail:
		return "fail"
	case Shed:
		return "shed"
	}
	return "unknown"
}

// Options configures writing behind. The zero value of each field means its default.
type Options struct {
	// Bound is how many keys may be pending. Writes of keys that are pending already are accepted also beyond it. Default 100,000.
	Bound int

	// WhenFull says what happens beyond Bound. Default Block.
	WhenFull Full

	// BatchSize is how many writes the source is given at once. Default 500; at most 10,000.
	BatchSize int

	// Delay is how long a write may wait for others, when there are fewer than BatchSize. Default 50 ms; negative for none.
	Delay time.Duration

	// Workers is how many batches a node writes at a time. Default 2.
	Workers int

	// FlushTimeout bounds one batch at the source. Default 10 s; at most a third of TakeOver.
	FlushTimeout time.Duration

	// TakeOver is after what time of silence others take what a node had taken: at the latest so long after a node has died its
	// pending writes go on. A journal that is not shared has no use for it. Default 30 s; at least 1 s.
	TakeOver time.Duration

	// MinBackoff and MaxBackoff are the pauses after the first failure of a write and after many, with jitter, each twice the one before.
	// Default 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration

	// MaxAttempts is how often a write is tried that fails by itself: while others succeed, or because the source rejects it. Then it is a dead letter.
	// While nothing succeeds, as when the source is down, no attempt counts. Default 5; negative: it is tried for ever.
	MaxAttempts int

	// DrainTimeout is how long Close may go on writing what is pending. Default 10 s; negative: not at all.
	DrainTimeout time.Duration
}

// WithDefaults returns a copy with every default filled in; o may be nil.
func (o *Options) WithDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	setDefault(&out.Bound, 100_000)
	setDefault(&out.BatchSize, 500)
	setDefault(&out.Delay, 50*time.Millisecond)
	setDefault(&out.Workers, 2)
	setDefault(&out.TakeOver, 30*time.Second)
	setDefault(&out.FlushTimeout, min(10*time.Second, out.TakeOver/3))
	setDefault(&out.MinBackoff, 100*time.Millisecond)
	setDefault(&out.MaxBackoff, max(30*time.Second, out.MinBackoff))
	setDefault(&out.MaxAttempts, 5)
	setDefault(&out.DrainTimeout, 10*time.Second)
	return out
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate names every problem at once, each with the field it is about. It is for options with their defaults filled in.
func (o Options) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.Bound < 1, "Bound %d: must be at least 1", o.Bound)
	bad(o.WhenFull > Shed, "WhenFull %d: unknown", o.WhenFull)
	bad(o.BatchSize < 1 || o.BatchSize > 10_000, "BatchSize %d: must be from 1 to 10000", o.BatchSize)
	bad(o.Workers < 1 || o.Workers > 256, "Workers %d: must be from 1 to 256", o.Workers)
	bad(o.TakeOver < time.Second, "TakeOver %v: must be at least 1s", o.TakeOver)
	bad(o.FlushTimeout < time.Millisecond || o.FlushTimeout > o.TakeOver/3, "FlushTimeout %v: must be from 1ms to a third of TakeOver %v", o.FlushTimeout, o.TakeOver)
	bad(o.MinBackoff < time.Millisecond, "MinBackoff %v: must be at least 1ms", o.MinBackoff)
	bad(o.MaxBackoff < o.MinBackoff, "MaxBackoff %v: must be at least MinBackoff %v", o.MaxBackoff, o.MinBackoff)
	return errors.Join(errs...)
}
