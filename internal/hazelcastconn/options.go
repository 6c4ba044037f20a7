package hazelcastconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/strata-cache/strata/internal/hazelcastconn/relay"
)

// DefaultTimeout bounds a call, the wait for a connection included.
const DefaultTimeout = 500 * time.Millisecond

// Names that apply where neither the URL nor the options say otherwise.
const (
	DefaultCluster = "dev" // the server's own default
	DefaultMap     = "strata"
	DefaultPort    = "5701"
)

// DefaultMaxReply bounds what one message of a member may take in memory.
const DefaultMaxReply = 64 << 20

// Options are the settings of a connection. A nil *Options and the zero value of every field mean the default. A parameter of
// the URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout bounds every call as a whole. Default: DefaultTimeout. URL parameter: timeout.
	Timeout time.Duration

	// Cluster is the cluster's name. Default: DefaultCluster. URL parameter: cluster.
	Cluster string

	// Map is the name of the map. Default: DefaultMap. URL parameter: map.
	Map string

	// Username and Password authenticate. Default: those of the URL, or none.
	Username, Password string

	// TLS makes every connection with a member one of TLS. Without a ServerName a certificate has to be of the host that is
	// dialled. It is copied. Default: no TLS. URL parameters: tls=true, or one of tls_ca (a file of certificates, PEM; default:
	// the system's), tls_cert and tls_key (the client's, PEM), tls_server_name; they win over the fields of TLS.
	TLS *tls.Config

	// MaxReply bounds what one message of a member may take in memory, in bytes: its length and 64 for each of its parts.
	// One that takes more cuts the connection. Only the list of keys of a Scan comes near. Twice a record is always allowed.
	// Default: DefaultMaxReply. URL parameter: max_reply.
	MaxReply int

	// OnServer is called on each new connection with a member, before the connection is used, with Server and the id of the
	// cluster, which is another one after all members were restarted. It must not use the connection. Default: nobody.
	OnServer func(server, identity string)

	// Logger gets the client library's log. Default: nobody.
	Logger *slog.Logger
}

func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Timeout < 0 {
		return out, fmt.Errorf("hazelcastconn: Options.Timeout is %v: must not be negative", out.Timeout)
	}
	if out.MaxReply < 0 {
		return out, fmt.Errorf("hazelcastconn: Options.MaxReply is %d: must not be negative", out.MaxReply)
	}
	if out.Password != "" && out.Username == "" {
		return out, errors.New("hazelcastconn: Options.Password is set and Options.Username is not")
	}
	return out, nil
}

// withDefaults fills what neither options nor URL said.
func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxReply == 0 {
		o.MaxReply = DefaultMaxReply
	}
	o.MaxReply = max(o.MaxReply, 2*relay.MaxFrame)
	if o.Cluster == "" {
		o.Cluster = DefaultCluster
	}
	if o.Map == "" {
		o.Map = DefaultMap
	}
	return o
}
