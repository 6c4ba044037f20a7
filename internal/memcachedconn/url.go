package memcachedconn

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	scheme      = "memcached"
	defaultPort = "11211"
)

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
	"connections": func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return fmt.Errorf("connections=%q is not a positive number", value)
		}
		o.Connections = n
		return nil
	},
	"item_size": func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < minItemSize || n > maxItemSize {
			return fmt.Errorf("item_size=%q is not a number of bytes from %d to %d", value, minItemSize, maxItemSize)
		}
		o.ItemSize = n
		return nil
	},
	"pool": func(o *Options, value string) error {
		if value == "" || len(value) > maxPoolName {
			return fmt.Errorf("pool=%q is empty or longer than %d bytes", value, maxPoolName)
		}
		o.Pool = value
		return nil
	},
}

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string { return slices.Sorted(maps.Keys(parameters)) }

// parse reads memcached://host[:port][,host[:port]…][?parameter=value…] and returns the servers, sorted. It takes the
// URL apart by itself: net/url knows one host only. Errors never quote what may be a password.
func parse(raw string, o *Options) (servers []string, opts Options, err error) {
	opts, err = o.resolve()
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	add(err)
	rest, ok := strings.CutPrefix(raw, scheme+"://")
	if !ok {
		return nil, opts, errors.New("memcachedconn: want a URL like memcached://host:11211,host:11211")
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest = strings.TrimSuffix(rest, "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		add(errors.New("the URL has credentials, which are not supported"))
		rest = rest[at+1:]
	}
	for part := range strings.SplitSeq(rest, ",") {
		server, err := address(part)
		switch {
		case err != nil:
			add(err)
		case slices.Contains(servers, server):
			add(fmt.Errorf("server %s is named twice", server))
		default:
			servers = append(servers, server)
		}
	}
	add(applyQuery(&opts, query))
	slices.Sort(servers)
	if err := errors.Join(problems...); err != nil {
		return nil, opts, fmt.Errorf("memcachedconn: %w", err)
	}
	return servers, opts, nil
}

// address returns host:port of one server of a URL, lower-case.
func address(s string) (string, error) {
	host, port := s, defaultPort
	if bare, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(s, "]") {
		host = strings.TrimSuffix(bare, "]")
	} else if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", fmt.Errorf("server %q is not host:port", s)
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("server %q: port %q is not a number from 1 to 65535", s, port)
	}
	if host == "" || strings.ContainsAny(host, " /\\#%?") {
		return "", fmt.Errorf("server %q has no valid host", s)
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}

// applyQuery sets what the URL's parameters say and reports every problem at once.
func applyQuery(o *Options, raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errors.New("malformed URL parameters")
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(query)) {
		set, known := parameters[name]
		switch values := query[name]; {
		case !known:
			problems = append(problems, fmt.Errorf("unknown URL parameter %q; known: %s", name, strings.Join(Parameters(), ", ")))
		case len(values) > 1:
			problems = append(problems, fmt.Errorf("URL parameter %q is given %d times", name, len(values)))
		default:
			if err := set(o, values[0]); err != nil {
				problems = append(problems, fmt.Errorf("URL parameter %w", err))
			}
		}
	}
	return errors.Join(problems...)
}
