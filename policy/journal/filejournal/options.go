package filejournal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Sync says when an accepted write is on the disk.
type Sync uint8

const (
	// Always puts a write on the disk before it is accepted: it survives a crash of the machine. Default.
	Always Sync = iota
	// Interval accepts a write that the operating system has, and puts all of them on the disk every Options.Interval. An accepted
	// write survives a crash of the process; a crash of the machine loses at most those of the last interval, and of the
	// time that the disk takes.
	Interval
	// Never leaves that to the operating system. An accepted write survives a crash of the process; a crash of the machine may
	// lose all that is pending, or leave a file that cannot be opened.
	Never
)

func (s Sync) String() string {
	switch s {
	case Always:
		return "always"
	case Interval:
		return "interval"
	case Never:
		return "never"
	}
	return "unknown"
}

// Options configures a journal. The zero value of each field means its default.
type Options struct {
	// Sync says when an accepted write is on the disk. Default Always.
	Sync Sync

	// Interval is how often what was accepted is put on the disk, if Sync is Interval. Default 1 s; at least 1 ms.
	Interval time.Duration

	// LockTimeout is how long Open waits for another process to let go of the file. Default 1 s; negative: not at all.
	LockTimeout time.Duration

	// OnDamage is called when a queue is opened, once for each entry that cannot be read. It stays in the file as it is, and the others go
	// on. Default: it is logged as an error with slog.Default.
	OnDamage func(*DamageError)
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.LockTimeout == 0 {
		out.LockTimeout = time.Second
	}
	if out.Interval == 0 {
		out.Interval = time.Second
	}
	if out.OnDamage == nil {
		out.OnDamage = func(d *DamageError) { slog.Error("an accepted write is lost", "error", d) }
	}
	if out.Sync > Never {
		return out, fmt.Errorf("option Sync %d: unknown", out.Sync)
	}
	if out.Interval < time.Millisecond {
		return out, fmt.Errorf("option Interval %v: must be at least 1ms", out.Interval)
	}
	return out, nil
}

// every returns how often the tail is saved, 0 for no tail.
func (o Options) every() time.Duration {
	if o.Sync == Interval {
		return o.Interval
	}
	return 0
}

// ErrLocked says that another journal, of this process or another, has the file.
var ErrLocked = errors.New("the file is in use")

// A FormatError says that a file is no journal, or one of another version. It is left as it is.
type FormatError struct {
	Path   string
	Reason string
}

func (e *FormatError) Error() string { return fmt.Sprintf("filejournal: %s: %s", e.Path, e.Reason) }

// A DamageError says that an entry of a queue cannot be read.
type DamageError struct {
	Path, Queue string
	Position    uint64
	Reason      string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("filejournal: %s: queue %q: the entry at position %d: %s", e.Path, e.Queue, e.Position, e.Reason)
}
