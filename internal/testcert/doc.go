// Package testcert makes certificates for servers and clients on this machine: an authority of its own, and leaves that
// are right, expired, for another host, or of another authority.
//
//	ca, err := testcert.New(dir, "strata test CA")
//	leaf, err := ca.Issue("server", nil)
//	// leaf.CertFile and leaf.KeyFile for the server, ca.File for who checks it, ca.ClientConfig() in Go
//
// Keys are ECDSA on P-256, and stand in dir in the clear: they are worth nothing elsewhere. The package does not import
// testing, because servers are started by programs too.
package testcert
