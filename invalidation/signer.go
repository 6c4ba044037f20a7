package invalidation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/internal/mono"
)

// signer signs what this node sends. It knows how far the log has come from the server's answers to this node alone, which no
// stranger can forge.
type signer struct {
	ring *Keyring // nil: nothing is signed

	// mu guards the rest.
	mu        sync.Mutex
	sequences [maxKind]uint64
	head      Position    // the last that a server has told
	asked     time.Time   // when it was asked for that; zero if nobody knows
	strayed   Incarnation // of a head, for which the subscription was replaced
}

var errNoKeys = errors.New("invalidation: Options.Keys is a Keyring that NewKeyring has not made")

// follow notes a head of the log that a server has told, which was asked for it then; the zero Time if nobody knows when.
func (s *signer) follow(head Position, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if head.Incarnation != s.head.Incarnation || asked.After(s.asked) || asked.IsZero() && head.After(s.head) {
		s.head, s.asked = head, asked
	}
}

// mute reports whether this node cannot sign anything that counts yet, as no server has told it of a log.
func (s *signer) mute() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring != nil && s.head.IsZero()
}

// one returns a frame signed, or with a checksum, by a node that has applied the log up to at.
func (s *signer) one(frame []byte, at Position) ([]byte, error) {
	signed, _, _, err := s.sign([][]byte{frame}, at)
	if err != nil {
		return nil, err
	}
	return signed[0], nil
}

// sign returns frames signed, or with checksums if there is no ring, and the base under which they are: the last head, or what was applied, if that is more. asked is when
// the head was asked for.
func (s *signer) sign(frames [][]byte, at Position) (signed [][]byte, base Position, asked time.Time, err error) {
	if s.ring == nil {
		return allSummed(frames), base, asked, nil
	}
	keys := s.ring.keys()
	if len(keys) == 0 {
		return nil, base, asked, errNoKeys
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if base = s.head; at.After(base) {
		base = at
	}
	signed = make([][]byte, len(frames))
	for i, frame := range frames {
		kind := frame[frameHeader-1]
		s.sequences[kind]++
		signed[i] = keys[0].seal(frame, seal{sequence: s.sequences[kind], base: base})
	}
	return signed, base, s.asked, nil
}

func allSummed(frames [][]byte) [][]byte {
	with := make([][]byte, len(frames))
	for i, frame := range frames {
		with[i] = summed(frame)
	}
	return with
}

// strays reports, once for each other log, that the server which took a frame has another one than this node listens to.
func (s *signer) strays(p, listening Position) bool {
	if s.ring == nil || listening.IsZero() || p.Incarnation == listening.Incarnation {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	again := p.Incarnation == s.strayed
	s.strayed = p.Incarnation
	return !again
}

// signTries bounds how often frames are signed anew for one announcement.
const signTries = 4

// append publishes frames, so that they count. A signed frame does where its base says, and everywhere only if that is young: else
// it is signed and published anew.
func (b *Bus) append(ctx context.Context, frames [][]byte) (Position, error) {
	at := b.Position()
	for range signTries {
		p, counts, err := b.send(ctx, frames, at)
		if err != nil || counts {
			return p, err
		}
		at = p
	}
	return Position{}, fmt.Errorf("the log became another one at each of %d tries: %w", signTries, ErrUnavailable)
}

// send publishes frames, signed if there is a ring, and reports whether they count.
func (b *Bus) send(ctx context.Context, frames [][]byte, at Position) (p Position, counts bool, err error) {
	signed, base, asked, err := b.signer.sign(frames, at)
	if err != nil {
		return p, false, err
	}
	began := time.Now()
	if p, err = b.transport.Publish(ctx, signed); err != nil || b.signer.ring == nil {
		return p, err == nil, err
	}
	b.signer.follow(p, began)
	counts = p.Incarnation == base.Incarnation && p.N >= base.N+uint64(len(frames)) && !asked.IsZero() && mono.Now()-mono.Of(asked) <= signedFor
	return p, counts, nil
}
