package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/urlparam"
)

// DefaultTimeout bounds a call, from waiting for a connection to the last byte of the reply.
const DefaultTimeout = 500 * time.Millisecond

// DefaultClientName is what CLIENT LIST shows for our connections.
const DefaultClientName = "strata"

// DefaultMaxAge is how old a connection becomes whose credentials come from a function.
const DefaultMaxAge = 10 * time.Minute

// Options are the settings of a connection. A nil *Options and the zero value of every field mean the default. A value in
// the URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout bounds every call as a whole, and dialling, reading and writing each. Default: DefaultTimeout.
	// URL parameter: timeout (a Go duration such as 250ms).
	Timeout time.Duration

	// PoolSize is the highest number of connections for commands, to each server. Default: 10 for each CPU, the library's.
	// URL parameter: pool_size.
	PoolSize int

	// MinIdle is how many idle connections to each server are held ready. Default: none. URL parameter: min_idle.
	MinIdle int

	// MaxIdleTime is after how long an idle connection is closed. Default: 30 minutes, the library's.
	// URL parameter: max_idle_time.
	MaxIdleTime time.Duration

	// MaxAge is after how long a connection is replaced before its next use. Default: DefaultMaxAge with Credentials, else
	// never. URL parameter: max_age.
	MaxAge time.Duration

	// ClientName names the connections in CLIENT LIST; no spaces. Default: DefaultClientName. URL parameter: client_name.
	ClientName string

	// Username and Password authenticate, so that they need not be part of a URL. Default: those of the URL, or none.
	Username, Password string

	// Credentials returns what a new connection authenticates with. It is called for each of them, concurrently, within
	// the Timeout of the call that needs the connection; where the server refuses its answer it is asked once more.
	// Default: Username and Password.
	Credentials func(ctx context.Context) (username, password string, err error)

	// SentinelUsername and SentinelPassword authenticate to the sentinels, which know users of their own. Default: none.
	// URL parameter for the first: sentinel_username.
	SentinelUsername, SentinelPassword string

	// TLS configures connections of a rediss… URL; with the others it is an error, as it would silently not be used.
	// Default: the system's roots and the host that is dialled. The URL parameters tls_ca, tls_cert, tls_key and
	// tls_server_name change a copy of it: the first three name files in PEM.
	TLS *tls.Config

	// Dialer makes the TCP connections to servers and sentinels; TLS goes over what it returns. It is called concurrently.
	// Default: a net.Dialer whose dead connections Linux notices after seconds.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	// MaxValue is the length of the longest string that a reply may hold, in bytes. A reply that announces a longer one, or
	// more than eight times that in all (TooMuchTogether), is refused before anything is allocated for it. Default:
	// DefaultMaxValue.
	// URL parameter: max_value.
	MaxValue int

	// Protocol is the version of RESP, 2 or 3. Default: 2. URL parameter: protocol.
	Protocol int

	// ReplicaReads makes Replica find replicas. Default: it finds none. URL parameter: replica_reads (true or false).
	ReplicaReads bool

	// OnConnect is called on each new connection to a server of records, named as in Server, after it has authenticated
	// and before it is used. Where it fails, the connection is not used. Default: nothing.
	OnConnect func(ctx context.Context, server string, c *redis.Conn) error

	files urlparam.TLSFiles // of the URL
}

// resolve returns a copy with defaults in place. The error names every bad field.
func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var problems []error
	bad := func(field string, value any, rule string) {
		problems = append(problems, fmt.Errorf("%s is %v: %s", "Options."+field, value, rule))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Timeout", out.Timeout}, {"MaxIdleTime", out.MaxIdleTime}, {"MaxAge", out.MaxAge}} {
		if d.value < 0 {
			bad(d.name, d.value, "must not be negative")
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"PoolSize", out.PoolSize}, {"MinIdle", out.MinIdle}, {"MaxValue", out.MaxValue}} {
		if n.value < 0 {
			bad(n.name, n.value, "must not be negative")
		}
	}
	if out.Protocol != 0 && out.Protocol != 2 && out.Protocol != 3 {
		bad("Protocol", out.Protocol, "must be 2 or 3")
	}
	if strings.ContainsAny(out.ClientName, " \r\n") {
		bad("ClientName", fmt.Sprintf("%q", out.ClientName), "must not contain a space")
	}
	if out.Username != "" && out.Password == "" {
		problems = append(problems, errors.New("Options.Username is set without Options.Password"))
	}
	if out.Credentials != nil && out.Password != "" {
		problems = append(problems, errors.New("Options.Credentials and Options.Password are both set"))
	}
	if out.Timeout == 0 {
		out.Timeout = DefaultTimeout
	}
	if out.MaxAge == 0 && out.Credentials != nil {
		out.MaxAge = DefaultMaxAge
	}
	if out.ClientName == "" {
		out.ClientName = DefaultClientName
	}
	if out.MaxValue == 0 {
		out.MaxValue = DefaultMaxValue
	}
	if out.Protocol == 0 {
		out.Protocol = 2
	}
	return out, errors.Join(problems...)
}
