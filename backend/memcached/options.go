package memcached

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// Options are the settings of a Store. A nil *Options and the zero value of every field mean the default. A value in
// the URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout bounds each call to a server as a whole: waiting for a connection, dialling, request and reply. Default:
	// 500 ms. URL parameter: timeout (a Go duration such as 250ms).
	Timeout time.Duration

	// Connections is the highest number of connections to each server; further calls wait. All are kept open once
	// made. Default: 64. URL parameter: connections.
	Connections int

	// ItemSize is the size of the largest item in bytes that every server of the pool was given by -I. Default: 1 MiB,
	// which is memcached's. URL parameter: item_size.
	ItemSize int

	// Pool names the pool and is part of every stored key, the same in all processes. Without Membership, give another
	// name whenever the list of servers changes. Default: no name. URL parameter: pool.
	Pool string

	// Username and Password are for servers with authentication of the text protocol (-Y). The user name must not have
	// spaces. Default: those of the URL, user:password@, percent-encoded, or none.
	Username, Password string

	// TLS configures the connections of a memcacheds:// URL; with memcached:// it is an error. Default: the system's
	// authorities, and the host that is dialled as the name of the server. The URL parameters tls_ca, tls_cert, tls_key
	// (files in PEM) and tls_server_name change a copy of it.
	TLS *tls.Config

	// Dialer makes the connections to addr, which is host:port as in the URL; TLS is put on top. It is called
	// concurrently, and must heed ctx. Default: a net.Dialer, which looks the host up for each new connection.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	// Membership holds who is in the pool, so that [SetServers] can change it while it is in use; all processes must
	// have the same. The URL's servers are then those of a new pool only. Default: the URL's servers, for ever.
	Membership Membership

	// Lease is how long a process goes on when Membership does not answer, and how long SetServers waits for others if a
	// server cannot be reached. What the first process registered counts for all. Default: 30 s; at least 50 ms.
	Lease time.Duration
}
