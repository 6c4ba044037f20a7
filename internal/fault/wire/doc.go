// Package wire is a network that fails as a test wants it to: a TCP [Proxy] between a client and its server, a hostile
// server by [Listen], and a name server, [DNS]. All are on loopback.
//
// A [Fault] is set for each direction of a proxy by itself, at any time, and holds for connections that exist and for new
// ones:
//
//	p, err := wire.New("127.0.0.1:6379")
//	p.Set(wire.Fault{Drip: 1, Every: time.Second}, wire.ToClient) // replies come one byte a second
//	p.Set(wire.Fault{ResetAfter: 10})                             // both ways: RST after ten more bytes
//	p.Heal()
//
// The package knows no protocol: what a lying reply is, the Rewrite of a test says. It does not import testing.
package wire
