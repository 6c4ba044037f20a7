package wire

import (
	"math/rand/v2"
	"time"
)

// A Direction is one of the two in which bytes go through a proxy.
type Direction int

const (
	ToServer Direction = iota
	ToClient
)

// A Fault is what a proxy does to the bytes of one direction. The zero Fault passes them on. Where several fields are set
// they act in the order in which they stand here.
type Fault struct {
	// Only chooses connections by their number: the first that the proxy accepted is 0. Default: all.
	Only func(conn int) bool

	// Hang reads nothing more, until the fault is replaced. Nothing is lost: what was sent comes then.
	Hang bool

	// Blackhole reads everything and passes nothing on, as a network that drops packets does. The end of the stream is lost
	// too until the fault is replaced.
	Blackhole bool

	// Delay is how long each piece that was read waits before it is passed on.
	Delay time.Duration

	// Rewrite makes, for one connection, a function that is given each piece in order and returns what is passed on. It
	// runs on that connection's goroutine, and may change the piece in place.
	Rewrite func(conn int) func(piece []byte) []byte

	// ResetAfter, if positive, passes that many more bytes of each connection and then resets it on both sides (RST).
	ResetAfter int

	// Drip, if positive, passes that many bytes at a time, one portion each Every (default 10 ms).
	Drip  int
	Every time.Duration
}

const defaultEvery = 10 * time.Millisecond

func (f Fault) concerns(conn int) bool { return f.Only == nil || f.Only(conn) }

// Garbage is a Rewrite: as many bytes come as were sent, and they are random.
func Garbage(int) func([]byte) []byte {
	return func(piece []byte) []byte {
		for i := range piece {
			piece[i] = byte(rand.Uint32())
		}
		return piece
	}
}

// Flip returns a Rewrite that inverts one random bit in about every n bytes.
func Flip(n int) func(int) func([]byte) []byte {
	return func(int) func([]byte) []byte {
		return func(piece []byte) []byte {
			for i := rand.IntN(n); i < len(piece); i += 1 + rand.IntN(2*n) {
				piece[i] ^= 1 << rand.IntN(8)
			}
			return piece
		}
	}
}
