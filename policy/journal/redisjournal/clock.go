package redisjournal

import (
	"time"
)

// drift is how much faster than a server's clock this process's may go: a thousandth, far more than any that works.
const drift = 1000

// A clock is what is known of a server's clock: at a moment of this process it showed at least so much.
type clock struct {
	shown int64         // in microseconds since 1970; 0 for nothing known
	at    time.Duration // by mono.Now, when the answer was there
}

// see takes note of an answer, unless a later one is known.
func (c *clock) see(shown int64, at time.Duration) {
	if c.shown == 0 || at >= c.at {
		c.shown, c.at = shown, at
	}
}

// deadline returns what the server's clock shows at the latest within after begun, or earlier. It is too early by what the
// answer took, and by what the clocks may have drifted apart since.
func (c *clock) deadline(begun, within time.Duration) int64 {
	since := begun - c.at
	return c.shown + (since + within - since.Abs()/drift).Microseconds()
}

// old reports whether the server must be asked again, as what may have drifted is much of within.
func (c *clock) old(now, within time.Duration) bool {
	return c.shown == 0 || (now-c.at)/drift > within/8
}
