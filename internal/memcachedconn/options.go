package memcachedconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Defaults of [Options].
const (
	DefaultTimeout     = 500 * time.Millisecond
	DefaultConnections = 64
	DefaultItemSize    = 1 << 20
	DefaultLease       = 30 * time.Second
)

const (
	minItemSize = 1 << 10
	maxItemSize = 1 << 30 // memcached's own limit for -I
	maxPoolName = 100
	minLease    = 50 * time.Millisecond
)

// Options are the settings of a pool. A nil *Options and the zero value of every field mean the default. A value in
// the URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout bounds each call to a server as a whole. Default: DefaultTimeout. URL parameter: timeout.
	Timeout time.Duration

	// Connections is the highest number of connections to each server. Default: DefaultConnections. URL parameter:
	// connections.
	Connections int

	// ItemSize is what the servers were given by -I: the size of the largest item in bytes, key and overhead included.
	// Default: DefaultItemSize, which is theirs. URL parameter: item_size.
	ItemSize int

	// Pool names the pool. Its keys are those of no other name on the same servers. Default: "". URL parameter: pool.
	Pool string

	// Username and Password are for servers with authentication of the text protocol (-Y). Default: those of the URL,
	// user:password@, or none.
	Username, Password string

	// TLS configures the connections of a memcacheds:// URL; with memcached:// it is an error. Default: the system's
	// authorities, and the host that is dialled. The URL parameters tls_ca, tls_cert, tls_key and tls_server_name change
	// a copy of it.
	TLS *tls.Config

	// Dialer makes connections; TLS is put on top. It is called concurrently, and must heed ctx. Default: a net.Dialer.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	// Membership holds who is in the pool; the URL's servers are those of a new pool only. Default: the URL's servers,
	// for ever.
	Membership Membership

	// Lease is how long a node goes on without an answer of Membership, and how long a change of servers waits if one of
	// them cannot be told. What the first node registered counts. Default: DefaultLease.
	Lease time.Duration
}

// resolve returns a copy with defaults in place, or every problem.
func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Timeout == 0 {
		out.Timeout = DefaultTimeout
	}
	if out.Connections == 0 {
		out.Connections = DefaultConnections
	}
	if out.ItemSize == 0 {
		out.ItemSize = DefaultItemSize
	}
	if out.Lease == 0 {
		out.Lease = DefaultLease
	}
	var problems []error
	if out.Timeout < 0 {
		problems = append(problems, fmt.Errorf("Options.Timeout is %v: must not be negative", out.Timeout))
	}
	if out.Connections < 0 {
		problems = append(problems, fmt.Errorf("Options.Connections is %d: must not be negative", out.Connections))
	}
	if out.ItemSize < minItemSize || out.ItemSize > maxItemSize {
		problems = append(problems, fmt.Errorf("Options.ItemSize is %d: must be %d to %d", out.ItemSize, minItemSize, maxItemSize))
	}
	if len(out.Pool) > maxPoolName {
		problems = append(problems, fmt.Errorf("Options.Pool has %d bytes: must have at most %d", len(out.Pool), maxPoolName))
	}
	if out.Lease < minLease {
		problems = append(problems, fmt.Errorf("Options.Lease is %v: must be at least %v", out.Lease, minLease))
	}
	return out, errors.Join(problems...)
}

// checkUser is called when the URL has been read too. memcached takes both in one line, apart by a space.
func (o *Options) checkUser() error {
	switch {
	case (o.Username == "") != (o.Password == ""):
		return errors.New("user name and password: give both or none")
	case strings.ContainsAny(o.Username, " \r\n"), strings.ContainsAny(o.Password, "\r\n"):
		return errors.New("user name or password: a character that memcached's authentication cannot carry")
	}
	return nil
}
