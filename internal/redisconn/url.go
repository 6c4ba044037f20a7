package redisconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/strata-cache/strata/internal/urlparam"
)

// target is what a URL says: where, and with which settings.
type target struct {
	addr string // host:port
	db   int
	tls  bool
	opts Options
}

// parameters are the URL parameters that are known, with what each does to the options.
var parameters = urlparam.Set[Options]{
	"timeout":   func(o *Options, value string) error { return urlparam.Duration(&o.Timeout, "timeout", value) },
	"pool_size": func(o *Options, value string) error { return urlparam.Count(&o.PoolSize, "pool_size", value) },
	"client_name": func(o *Options, value string) error {
		if value == "" || strings.ContainsAny(value, " \r\n") {
			return fmt.Errorf("client_name=%q is empty or contains a space", value)
		}
		o.ClientName = value
		return nil
	},
}

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string { return parameters.Names() }

// parse reads redis://[user:password@]host[:port][/db][?parameter=value…]. The URL itself is never part of an error: the
// errors of net/url quote it, password and all.
func parse(raw string, o *Options) (target, error) {
	opts, err := o.resolve()
	if err != nil {
		return target{}, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, errors.New("redisconn: malformed URL (not shown, it may hold a password): want redis://host:port/db")
	}
	t := target{opts: opts, tls: u.Scheme == "rediss"}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return target{}, fmt.Errorf("redisconn: unknown URL scheme %q: known are redis, rediss", u.Scheme)
	}
	if u.Opaque != "" || u.Fragment != "" {
		return target{}, errors.New("redisconn: malformed URL: want redis://host:port/db")
	}
	if opts.TLS != nil && !t.tls {
		return target{}, errors.New("redisconn: Options.TLS is set but the URL is redis://: use rediss://")
	}

	host, port := strings.ToLower(u.Hostname()), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "6379"
	}
	t.addr = net.JoinHostPort(host, port)

	if path := strings.Trim(u.Path, "/"); path != "" {
		if t.db, err = strconv.Atoi(path); err != nil || t.db < 0 {
			return target{}, fmt.Errorf("redisconn: database %q is not a number", path)
		}
	}
	if u.User != nil && t.opts.Username == "" && t.opts.Password == "" {
		t.opts.Username = u.User.Username()
		t.opts.Password, _ = u.User.Password()
	}
	if err := parameters.Apply(&t.opts, u.RawQuery); err != nil {
		return t, fmt.Errorf("redisconn: %w", err)
	}
	return t, nil
}

// server is the identity that two URLs of the same database share.
func (t *target) server() string { return t.addr + "/" + strconv.Itoa(t.db) }

// redacted is the URL as it may be shown to anybody.
func (t *target) redacted() string {
	scheme := "redis"
	if t.tls {
		scheme = "rediss"
	}
	user := ""
	if t.opts.Username != "" || t.opts.Password != "" {
		user = url.PathEscape(t.opts.Username) + ":xxxxx@"
	}
	return scheme + "://" + user + t.server()
}
