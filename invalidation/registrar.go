package invalidation

import "context"

// Registrar is an optional ability of a [Transport]: small values beside the log, each changed by compare-and-swap. [Register]
// stands on it, and invalidationtest checks what is said here.
//
// The Bus guarantees: a name has 1 to MaxName bytes, a value at most MaxRegister, an epoch is at most MaxEpoch; both methods are
// called by any goroutine, and never once Close has begun.
//
// Both must return promptly when ctx ends, with ctx's error, and in any case within a bounded time. A server that does not
// answer is an error for which errors.Is(err, ErrUnavailable), never an empty register.
type Registrar interface {
	// ReadRegister returns what stands under name, as the one server says that owns the log; the zero Registered if nothing.
	ReadRegister(ctx context.Context, name string) (Registered, error)

	// WriteRegister stores w.Value if the epoch that stands under name is w.Epoch, where 0 means that nothing does, and if what
	// stands there is current, or w.Since is set. In the same step it appends w.Frame to the log, as Publish does, and gives the
	// value its epoch. Else it changes nothing, and written is false. It must send the step at most once; after an error it
	// may be done all the same.
	//
	// The new epoch must be greater than w.Epoch and w.Above, at most MaxEpoch, and one that never stood under this name, also
	// if the server has lost its data since: a counter alone is not enough, and the clock in it is.
	WriteRegister(ctx context.Context, name string, w RegisterWrite) (epoch uint64, written bool, err error)
}

// MaxEpoch is the greatest epoch that there is: numbers up to it are exact in a script's floating point.
const MaxEpoch = 1<<53 - 1

// Registered is what stands in a register.
type Registered struct {
	// Value belongs to whoever asked.
	Value []byte
	// Epoch is 0 if nothing stands there.
	Epoch uint64
	// Since is the RegisterWrite.Since with which Value was written, or Epoch if that was 0.
	Since uint64
	// Current says that Value was written in the incarnation that the log has now. If it was not, the server has restarted or
	// been restored or replaced since, and may have gone back in time.
	Current bool
}

// RegisterWrite is a change of a register.
type RegisterWrite struct {
	Value []byte
	Epoch uint64 // that must stand there
	Above uint64 // the new epoch is greater
	Since uint64 // 0 for a new value; else this one is not new, and got this epoch when it was
	Frame []byte // announces the change
}
