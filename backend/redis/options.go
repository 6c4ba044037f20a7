package redis

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
)

// Options are the settings of a Store on Redis. A nil *Options and the zero value of every field mean the default. A
// parameter of the URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout is within which a call is answered or fails, waiting for a connection and dialling included.
	// Default: 500 ms. URL parameter: timeout, a Go duration such as 250ms.
	Timeout time.Duration

	// PoolSize is the highest number of connections to each server, for commands that travel alone. Default: 10 for each
	// CPU. URL parameter: pool_size.
	PoolSize int

	// MinIdle is how many idle connections to each server are held ready. Default: none. URL parameter: min_idle.
	MinIdle int

	// MaxIdleTime is after how long an idle connection is closed. Default: 30 minutes. URL parameter: max_idle_time.
	MaxIdleTime time.Duration

	// MaxAge is after how long a connection is replaced before its next use. It must be shorter than what the credentials
	// of a connection are good for, where a server ends connections for that. Default: 10 minutes with Credentials, else
	// never. URL parameter: max_age.
	MaxAge time.Duration

	// ClientName names the connections in CLIENT LIST; no spaces. Default: strata. URL parameter: client_name.
	ClientName string

	// Username and Password authenticate, so that they need not be part of a URL. Default: those of the URL, or none.
	Username, Password string

	// Credentials returns what a new connection authenticates with, where that changes: a token of a cloud's identity
	// service, a password that is rotated. It is called for each new connection, concurrently, and its ctx ends with the
	// call that needs the connection, so it should answer from memory; Close waits for it. Where the server refuses its
	// answer it is asked once more. If it fails, the call is ErrUnavailable and wraps its error. Connections that exist stay as they are until
	// MaxAge. It must not be set with Password. Default: Username and Password.
	Credentials func(ctx context.Context) (username, password string, err error)

	// SentinelUsername and SentinelPassword authenticate to sentinels, which know users of their own. Default: none.
	// URL parameter for the first: sentinel_username.
	SentinelUsername, SentinelPassword string

	// TLS configures the connections of a rediss… URL; with another it is an error, as it would silently not be used.
	// Default: the system's roots and the host that is dialled. The URL parameters tls_ca, tls_cert, tls_key (files in PEM)
	// and tls_server_name change a copy of it.
	TLS *tls.Config

	// Dialer makes the TCP connections to servers and sentinels, as each names itself; TLS goes over what it returns. It is
	// called concurrently. Default: a net.Dialer whose dead connections Linux notices after seconds.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	// MaxValue is the length of the longest record, in bytes. A server that sends or announces more, or more than eight times
	// that in one reply, is refused before memory is allocated for it; records that are more together are then asked for one
	// by one. Default: 64 MiB and 64 KiB, which is what the largest value of a codec needs. URL parameter: max_value.
	MaxValue int

	// Protocol is the version of the protocol, 2 or 3. Nothing depends on it. Default: 2. URL parameter: protocol.
	Protocol int

	// ReplicaReads lets GetStale ask replicas, which are known of sentinels and clusters. Get never does. Default: off.
	// URL parameter: replica_reads, true or false.
	ReplicaReads bool

	// NoBatching makes each Get of one key travel alone at once. Default: while two reads of single keys are under way,
	// further ones wait for one of them to return and then travel as one command.
	NoBatching bool
}

// conn returns the settings of the connection.
func (o *Options) conn() *redisconn.Options {
	return &redisconn.Options{
		Timeout:          o.Timeout,
		PoolSize:         o.PoolSize,
		MinIdle:          o.MinIdle,
		MaxIdleTime:      o.MaxIdleTime,
		MaxAge:           o.MaxAge,
		ClientName:       o.ClientName,
		Username:         o.Username,
		Password:         o.Password,
		Credentials:      o.Credentials,
		SentinelUsername: o.SentinelUsername,
		SentinelPassword: o.SentinelPassword,
		TLS:              o.TLS,
		Dialer:           o.Dialer,
		MaxValue:         o.MaxValue,
		Protocol:         o.Protocol,
		ReplicaReads:     o.ReplicaReads,
	}
}
