package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
)

// Options are the settings of a Store on Redis. A nil *Options and the zero value of every field mean the default. A
// parameter of the URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout is within which a call is answered or fails, waiting for a connection and dialling included.
	// Default: 500 ms. URL parameter: timeout, a Go duration such as 250ms.
	Timeout time.Duration

	// PoolSize is the highest number of connections for commands that travel alone. Default: 10 for each CPU.
	// URL parameter: pool_size.
	PoolSize int

	// ClientName names the connections in CLIENT LIST; no spaces. Default: strata. URL parameter: client_name.
	ClientName string

	// Username and Password authenticate, so that they need not be part of a URL. Default: those of the URL, or none.
	Username, Password string

	// TLS configures a rediss:// connection; with redis:// it is an error, as it would silently not be used.
	// Default: the system's roots and the URL's host name.
	TLS *tls.Config

	// NoBatching makes each Get of one key travel alone at once. Default: while two reads of single keys are under way,
	// further ones wait for one of them to return and then travel as one command.
	NoBatching bool
}

// validate names every bad field.
func (o *Options) validate(url string) error {
	var problems []error
	if o.Timeout < 0 {
		problems = append(problems, fmt.Errorf("redis: Options.Timeout is %v: must not be negative", o.Timeout))
	}
	if o.PoolSize < 0 {
		problems = append(problems, fmt.Errorf("redis: Options.PoolSize is %d: must not be negative", o.PoolSize))
	}
	if strings.ContainsAny(o.ClientName, " \r\n") {
		problems = append(problems, fmt.Errorf("redis: Options.ClientName is %q: must not contain a space", o.ClientName))
	}
	if o.TLS != nil && !strings.HasPrefix(url, "rediss:") {
		problems = append(problems, errors.New("redis: Options.TLS is set, but the URL's scheme is not rediss"))
	}
	if o.Username != "" && o.Password == "" {
		problems = append(problems, errors.New("redis: Options.Username is set without Options.Password"))
	}
	return errors.Join(problems...)
}

// conn returns the settings of the connection.
func (o *Options) conn() *redisconn.Options {
	return &redisconn.Options{
		Timeout:    o.Timeout,
		PoolSize:   o.PoolSize,
		ClientName: o.ClientName,
		Username:   o.Username,
		Password:   o.Password,
		TLS:        o.TLS,
	}
}
