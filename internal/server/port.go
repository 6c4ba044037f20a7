package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are drawn below the range from which systems take the local ports of outgoing connections (Linux 32768 and up,
// macOS 49152 and up). Inside it, a client that keeps dialling a stopped server can be given that very port as its own
// and connect to itself, and the server could then not restart on its port.
const (
	firstPort = 20000
	lastPort  = 32000
)

// FreePort returns a loopback TCP port on which nothing listens now. Another process may take it before it is used, so
// the constructors draw again when their server cannot bind.
func FreePort() (int, error) {
	const tries = 100
	var last error
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp4", loopback(port))
		if err != nil {
			last = err
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("server: free port: %w", err)
		}
		return port, nil
	}
	return 0, fmt.Errorf("server: no free port in %d tries: %w", tries, last)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
