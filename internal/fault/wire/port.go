package wire

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Ports are drawn below the range from which systems take the local ports of outgoing connections, as a client that dials
// a refusing proxy could otherwise connect to itself, and outside of the range that internal/server draws from.
const (
	firstPort = 12000
	ports     = 8000
)

// drawn counts from a random start: the port of a proxy that refuses is not drawn again soon.
var drawn atomic.Uint64

func init() { drawn.Store(rand.Uint64N(ports)) }

// onFreePort calls listen with addresses until it succeeds.
func onFreePort(listen func(addr string) error) error {
	var last error
	for range 100 {
		port := firstPort + int(drawn.Add(1)%ports)
		if last = listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); last == nil {
			return nil
		}
	}
	return fmt.Errorf("wire: no free port: %w", last)
}
