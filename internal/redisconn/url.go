package redisconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// target is what a URL says: where, and with which settings.
type target struct {
	addr string // host:port
	db   int
	tls  bool
	opts Options
}

// parameters are the URL parameters that are known, with what each does to the options.
var parameters = map[string]func(o *Options, value string) error{
	"timeout": func(o *Options, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("timeout=%q is not a positive duration such as 250ms", value)
		}
		o.Timeout = d
		return nil
	},
	"pool_size": func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return fmt.Errorf("pool_size=%q is not a positive number", value)
		}
		o.PoolSize = n
		return nil
	},
	"client_name": func(o *Options, value string) error {
		if value == "" || strings.ContainsAny(value, " \r\n") {
			return fmt.Errorf("client_name=%q is empty or contains a space", value)
		}
		o.ClientName = value
		return nil
	},
}

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string {
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

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
	return t, t.applyQuery(u.RawQuery)
}

// applyQuery sets what the URL's parameters say and reports every problem at once.
func (t *target) applyQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errors.New("redisconn: malformed URL parameters")
	}
	var problems []error
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		set, known := parameters[name]
		switch values := query[name]; {
		case !known:
			problems = append(problems, fmt.Errorf("redisconn: unknown URL parameter %q: known are %s", name,
				strings.Join(Parameters(), ", ")))
		case len(values) > 1:
			problems = append(problems, fmt.Errorf("redisconn: URL parameter %q is given %d times", name, len(values)))
		default:
			if err := set(&t.opts, values[0]); err != nil {
				problems = append(problems, fmt.Errorf("redisconn: URL parameter %w", err))
			}
		}
	}
	return errors.Join(problems...)
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
