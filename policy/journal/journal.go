package journal

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
)

var (
	// ErrFull says that a queue holds as many keys as it may, and that the write was not accepted.
	ErrFull = sentinel.ErrJournalFull

	// ErrNotWritten says that a write was not accepted, and will not be. ErrFull, ErrUnavailable and others come with it where that is
	// known.
	ErrNotWritten = sentinel.ErrNotWritten

	// ErrUnavailable says that the journal could not be reached, or did not answer in time.
	ErrUnavailable = sentinel.ErrUnavailable

	// ErrClosed says that the queue or its journal was closed.
	ErrClosed = sentinel.ErrClosed
)

// A Journal holds queues by name. Its methods are safe for concurrent use.
type Journal interface {
	// Open returns the queue of a name, and makes it if there is none. Its options have their defaults filled in and were
	// validated. In a process one queue of a name is open at a time: a second one is an error that says so. It succeeds while
	// servers are down.
	Open(name string, o Options) (Queue, error)

	// Shared reports whether the queues are those of all nodes: then any node sees and takes what another appended.
	Shared() bool

	// String names the journal for people, without secrets.
	String() string

	// Close closes the journal, and what queues of it are open. What is pending stays, unless the journal is volatile. It is
	// idempotent and waits.
	Close() error
}

// A Queue is what is pending of one cache. Its methods are safe for concurrent use. Slices that they are given are not changed nor
// kept; those that they return are the caller's.
type Queue interface {
	// Append accepts writes, of distinct keys, and returns a receipt for each, in order. Each is accepted by itself. When it returns
	// without an error the write survives what the journal survives. One that is not accepted before within has passed, counted
	// from the call, will never be: whoever has no clear answer knows after that time that nothing more will come.
	Append(ctx context.Context, within time.Duration, writes []Write) []Receipt

	// Pending returns the newest pending write of each key, in order. Its Position is 0 where there is none.
	Pending(ctx context.Context, keys []string) ([]Entry, error)

	// Take waits until writes are pending that nobody has taken, or ctx ends, and returns up to n of them, the longest waiting first.
	// They are the caller's until Done, Bury or Return, or until it has not called Keep for Options.TakeOver: then
	// somebody else may take them. The write of an entry is the newest of its key at that time.
	//
	// An entry with Position 0 is what remains of a key whose write was buried by somebody who died before Done.
	Take(ctx context.Context, n int) ([]Entry, error)

	// Keep says that the caller still works on what it has taken.
	Keep(ctx context.Context, entries []Entry) error

	// Done says that the source has the writes. Where a newer one of the key came meanwhile, that is listed, unless somebody else has
	// taken the key since. A dead letter of an older write of the key is dropped, since Retry would put it over the newer.
	Done(ctx context.Context, entries []Entry) error

	// Return gives back what was taken, as it was.
	Return(ctx context.Context, entries []Entry) error

	// Bury makes dead letters of writes that the source does not take, in place of earlier ones of their keys; causes say why, one for
	// each. Their keys have no pending write then, but stay with the caller until Done. Where a newer write of the key came
	// meanwhile it buries nothing, and Done lists that.
	Bury(ctx context.Context, entries []Entry, causes []string) error

	// List calls f for pending writes, oldest first, until it returns false.
	List(ctx context.Context, f func(Entry) bool) error

	// Dead calls f for dead letters until it returns false.
	Dead(ctx context.Context, f func(DeadLetter) bool) error

	// Retry makes the dead letters of keys pending again, with their old positions, and returns how many. One whose key has a pending
	// write, which is newer, is dropped. No keys: all.
	Retry(ctx context.Context, keys ...string) (int, error)

	// Purge drops the dead letters of keys and returns how many there were. No keys: all.
	Purge(ctx context.Context, keys ...string) (int, error)

	// Stats returns what the queue holds.
	Stats(ctx context.Context) (Stats, error)

	// Close ends calls that wait, and gives back what was taken. What is pending stays. It is idempotent and waits.
	Close() error
}

// A Write is what the source is to have at one key.
type Write struct {
	Key    string // by which writes are told apart: those of one key are kept in order, and merged
	Source []byte // the key for who writes the source
	Value  []byte
	Delete bool // the source is to have nothing; Value is empty
	ID     ID   // must be set, and differ from that of every other write
}

// An ID names a write. A write that is given to the source twice has the same.
type ID [16]byte

// NewID returns a random one.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// A Position is the place of an accepted write in the order of its queue. It is milliseconds of the Unix time of who counted, times
// 2^20, or more, where more writes were accepted in a millisecond or that clock was set back; it fits a signed 64-bit integer
// until the year 2248. 0 is none.
type Position uint64

// Next returns the position after last at time now.
func (last Position) Next(now time.Time) Position {
	return max(last+1, Position(now.UnixMilli())<<20)
}

// A Receipt is what became of a write that was to be accepted: it has a position, or an error. One that is [ErrNotWritten] says that it
// was not accepted and will not be. After any other nobody knows.
type Receipt struct {
	Position Position
	Err      error
}

// An Entry is a pending write.
type Entry struct {
	Write
	Position Position
	Accepted time.Time // by the clock of who counts
	Merged   int       // earlier writes whose place it took, since the source last had the key
	Attempts int       // how often it, or one before it, was taken since then, this time included
	Ticket   string    // of the journal's own, for what was taken; empty otherwise
}

// A DeadLetter is a write that the source did not take.
type DeadLetter struct {
	Entry
	Buried time.Time
	Cause  string
}

// Stats are what a queue holds.
type Stats struct {
	Depth  int       // keys with a pending write
	Taken  int       // of these, those that somebody works on
	Oldest time.Time // when the longest waiting pending write was accepted; zero for none
	Dead   int       // dead letters
	Merged uint64    // writes whose place a later one took, since the queue was made
}
