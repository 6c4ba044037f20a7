package fault

import (
	"fmt"
	"strings"
	"time"
)

// An Injector decides what befalls each operation. It is called concurrently, and in order for the operations of one call.
type Injector interface {
	// Inject returns the fault that befalls op, the zero Fault for none.
	Inject(op Op) Fault

	// String describes the injector, seeds included, so that a failed test can be repeated from its output.
	String() string
}

// An effect is what becomes of an operation.
type effect uint8

const (
	none effect = iota
	fail
	drop
	lose
	late
	again
	lie
)

// A Fault is what befalls an operation. The zero Fault is none. A Fault is also the Injector that always injects it.
type Fault struct {
	effect effect
	err    error // nil for ErrInjected
	lie    func(key string, rec []byte) []byte
	what   string // a lie does

	delay time.Duration   // before the operation is sent
	hold  <-chan struct{} // it is not sent before this is closed
	later time.Duration   // until it happens late, or again
	until <-chan struct{} // in place of later
}

// Fail makes the operation fail before it is sent: a write is Unsent. A nil err is [ErrInjected]; others are what they are.
func Fail(err error) Fault { return Fault{effect: fail, err: err} }

// Drop loses the operation on its way to the server: it never happens, but the caller cannot know.
func Drop(err error) Fault { return Fault{effect: drop, err: err} }

// Lose lets the operation happen and loses the reply. Of a Scan it loses what comes after the first batch.
func Lose(err error) Fault { return Fault{effect: lose, err: err} }

// Late makes the operation fail at once, and happen after a while: as a write does that its caller gave up while it was on its
// way. Reads never happen.
func Late(err error, after time.Duration) Fault { return Fault{effect: late, err: err, later: after} }

// LateUntil is Late, with the operation happening when until is closed.
func LateUntil(err error, until <-chan struct{}) Fault {
	return Fault{effect: late, err: err, until: until}
}

// Again lets the operation happen, and once more after a while, unknown to the caller. A read is left alone.
func Again(after time.Duration) Fault { return Fault{effect: again, later: after} }

// AgainUntil is Again, with the second time when until is closed.
func AgainUntil(until <-chan struct{}) Fault { return Fault{effect: again, until: until} }

// Delay makes the operation wait before it is sent, as long as its context lasts. Of several in one call the longest counts.
func Delay(d time.Duration) Fault { return Fault{delay: d} }

// Hold makes the operation wait before it is sent until release is closed, as long as its context lasts.
func Hold(release <-chan struct{}) Fault { return Fault{hold: release} }

// Lie changes what a read finds: change is given the record, nil for none, and may change it, and returns what to answer, nil for a
// miss. It breaks the contract of a driver, for tests of those who must notice. What says what it does, in String.
func Lie(what string, change func(key string, rec []byte) []byte) Fault {
	return Fault{effect: lie, what: what, lie: change}
}

// Miss is the Lie that nothing is there.
func Miss() Fault { return Lie("miss", func(string, []byte) []byte { return nil }) }

// Corrupt is the Lie that flips the lowest bit of the record's last byte.
func Corrupt() Fault {
	return Lie("corrupt", func(_ string, rec []byte) []byte {
		if len(rec) > 0 {
			rec[len(rec)-1] ^= 1
		}
		return rec
	})
}

// With returns f, after the delay and the hold of g: Lose(nil).With(Delay(time.Second)).
func (f Fault) With(g Fault) Fault {
	f.delay = max(f.delay, g.delay)
	if g.hold != nil {
		f.hold = g.hold
	}
	return f
}

// If returns the Injector of f for the operations of which p is true.
func (f Fault) If(p Predicate) Injector { return If(p, f) }

// Inject returns f.
func (f Fault) Inject(Op) Fault { return f }

// none reports whether f is the zero Fault.
func (f Fault) none() bool {
	return f.effect == none && f.delay == 0 && f.hold == nil
}

// caller returns the error that the caller is told.
func (f Fault) caller(op Op) error {
	if f.err != nil {
		return f.err
	}
	return fmt.Errorf("fault: %v: %w", op.Kind, ErrInjected)
}

func (f Fault) String() string {
	var parts []string
	if f.delay > 0 {
		parts = append(parts, fmt.Sprintf("delay %v", f.delay))
	}
	if f.hold != nil {
		parts = append(parts, "hold")
	}
	switch f.effect {
	case lie:
		parts = append(parts, "lie "+f.what)
	case late, again:
		when := f.later.String()
		if f.until != nil {
			when = "until released"
		}
		parts = append(parts, [...]string{late: "late", again: "again"}[f.effect]+" "+when)
	case fail, drop, lose:
		parts = append(parts, [...]string{fail: "fail", drop: "drop", lose: "lose"}[f.effect])
	}
	if f.err != nil {
		parts = append(parts, fmt.Sprintf("with %q", f.err))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
