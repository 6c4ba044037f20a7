package hazelcast

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/strata-cache/strata/internal/hazelcastconn"
)

// DefaultConcurrency is how many round trips one bulk Get or Write has under way.
const DefaultConcurrency = 64

// Options are the settings of a store. A nil *Options and the zero value of every field mean the default. A parameter of the
// URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout bounds each round trip, the wait for a connection included. Default: 500 ms. URL parameter: timeout.
	Timeout time.Duration

	// Cluster is the cluster's name. Default: dev. URL parameter: cluster.
	Cluster string

	// Map is the name of the map that holds the records, and nothing else. Default: strata. URL parameter: map.
	Map string

	// Username and Password authenticate. Members of the open-source edition refuse a client that gives a user name. Default:
	// those of the URL, or none.
	Username, Password string

	// TLS makes every connection with a member one of TLS. Without a ServerName a certificate has to be of the host that is
	// dialled. It is copied. Default: no TLS. URL parameters: tls=true, or one of tls_ca (a file of certificates, PEM; default:
	// the system's), tls_cert and tls_key (the client's, PEM; read for each connection), tls_server_name.
	TLS *tls.Config

	// MaxReply bounds what one message of a member may take in memory, in bytes: its length and 64 for each of its parts.
	// One that takes more cuts the connection. Only the list of keys of a Scan comes near. Twice a record is always allowed.
	// Default: 64 MiB. URL parameter: max_reply.
	MaxReply int

	// Concurrency is how many round trips one bulk Get or Write has under way. Default: DefaultConcurrency.
	Concurrency int

	// Logger gets the client library's log. Default: nobody.
	Logger *slog.Logger
}

// conn checks the fields of this package and returns those of the connection.
func (o *Options) conn() (*hazelcastconn.Options, int, error) {
	if o == nil {
		return nil, DefaultConcurrency, nil
	}
	c := &hazelcastconn.Options{
		Timeout:  o.Timeout,
		Cluster:  o.Cluster,
		Map:      o.Map,
		Username: o.Username,
		Password: o.Password,
		TLS:      o.TLS,
		MaxReply: o.MaxReply,
		Logger:   o.Logger,
	}
	var problems []error
	if o.Timeout < 0 {
		problems = append(problems, fmt.Errorf("hazelcast: Options.Timeout is %v: must not be negative", o.Timeout))
		c.Timeout = 0
	}
	if o.MaxReply < 0 {
		problems = append(problems, fmt.Errorf("hazelcast: Options.MaxReply is %d: must not be negative", o.MaxReply))
		c.MaxReply = 0
	}
	if o.Password != "" && o.Username == "" {
		problems = append(problems, errors.New("hazelcast: Options.Password is set and Options.Username is not"))
		c.Password = ""
	}
	if o.Concurrency < 0 {
		problems = append(problems, fmt.Errorf("hazelcast: Options.Concurrency is %d: must not be negative", o.Concurrency))
	}
	if o.Concurrency == 0 {
		return c, DefaultConcurrency, errors.Join(problems...)
	}
	return c, o.Concurrency, errors.Join(problems...)
}
