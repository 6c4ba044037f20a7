package invalidation

import "context"

// Transport is a log that every node appends to and hears, the interface that an implementer writes. invalidationtest checks
// what is said here.
//
// The Bus guarantees: frames are not empty, at most MaxFrame long, and not changed later; Receive and Reconnect are each
// called by one goroutine; Publish, Hint and Close by any; Close once, and no call begins after it.
type Transport interface {
	// Publish appends the frames to the log, next to each other and in this order, and returns the position of the last.
	//
	// It must give every frame the next N of its incarnation in the very step that publishes it, so that there is one order
	// for all publishers. It must send the frames at most once. It must return promptly when ctx ends, with ctx's error, and
	// in any case within a bounded time. A server that does not answer is an error for which errors.Is(err, ErrUnavailable);
	// the frames may be in the log all the same.
	Publish(ctx context.Context, frames [][]byte) (Position, error)

	// Hint sends a frame to whoever listens now. It has no position, may be lost, and may overtake or be overtaken.
	Hint(ctx context.Context, frame []byte) error

	// Receive returns the next delivery, waiting for it.
	//
	// The first delivery, and the first after every replacement of the subscription (a lost connection, an overflowing
	// buffer, Reconnect), must be a Subscribed one whose Position is the log's head, read after the subscription was in
	// force: what was published after that read must be delivered, unless another Subscribed comes. Frames at or below that
	// head may be delivered too; the bus ignores them.
	//
	// Frames of one incarnation must come in the order of their positions; gaps are noticed, disorder is taken for one. What
	// a node published itself must be delivered to it as well, after all that the log accepted before: a heartbeat that
	// comes back proves that nothing is missing.
	//
	// It must return promptly when ctx ends, with ctx's error; ErrClosed after Close; any other error means that there is no
	// subscription at the moment, and the bus calls again after a pause.
	Receive(ctx context.Context) (Delivery, error)

	// Reconnect replaces the subscription, because nothing came back through it for too long. It must not block.
	Reconnect()

	// Close ends the subscription, makes calls under way return, and waits for all that the transport started.
	Close() error
}

// Kind says what a Delivery is.
type Kind uint8

// The kinds of deliveries.
const (
	// Subscribed: a subscription begins. Position is the log's head; there is no frame.
	Subscribed Kind = iota + 1
	// Frame: an entry of the log.
	Frame
	// Hint: a frame without a position.
	Hint
)

// Delivery is what a transport hands over. The bus owns Frame and does not change it.
type Delivery struct {
	Kind     Kind
	Position Position
	Frame    []byte
}
