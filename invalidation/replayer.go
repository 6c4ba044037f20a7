package invalidation

import "context"

// Bounds of a replay. Whoever missed more flushes, which costs less.
const (
	// MaxReplay is how many frames a bus asks for at once.
	MaxReplay = 8192
	// MaxReplayBytes is how much their frames may take together, roughly.
	MaxReplayBytes = 16 << 20
)

// Replayer is an optional ability of a [Transport]: to give frames again that were published before. A bus that can say what
// it missed then asks for that, and flushes only if it cannot be had. invalidationtest checks what is said here.
//
// The Bus guarantees: after is a position that it has applied, through is greater than after.N and at most after.N+MaxReplay;
// Replay is called by the goroutine that calls Receive, and never once Close has begun.
type Replayer interface {
	// Replay returns the frames of after's incarnation from after.N+1 to through, all of them, in the order of the log; they
	// belong to the caller. There is no answer that leaves one out: where one is missing, the log is of another incarnation or
	// was when it was written, or the frames take more than MaxReplayBytes, it is an error for which errors.Is(err, ErrGone).
	//
	// A log that fell back and grew again is another incarnation, however far it has come.
	//
	// It must return promptly when ctx ends, with ctx's error, and in any case within a bounded time. A server that does not
	// answer is an error for which errors.Is(err, ErrUnavailable), and the bus may ask again.
	Replay(ctx context.Context, after Position, through uint64) (frames [][]byte, err error)
}
