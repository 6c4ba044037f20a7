package hazelcastconn

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// DefaultTimeout bounds a call, the wait for a connection included.
const DefaultTimeout = 500 * time.Millisecond

// Names that apply where neither the URL nor the options say otherwise.
const (
	DefaultCluster = "dev" // the server's own default
	DefaultMap     = "strata"
	DefaultPort    = "5701"
)

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
	if o.Cluster == "" {
		o.Cluster = DefaultCluster
	}
	if o.Map == "" {
		o.Map = DefaultMap
	}
	return o
}
