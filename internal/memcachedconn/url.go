package memcachedconn

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/strata-cache/strata/internal/urlparam"
)

const (
	scheme      = "memcached"
	defaultPort = "11211"
)

// parameters are the URL parameters that are known, with what each does to the options.
var parameters = urlparam.Set[Options]{
	"timeout":     func(o *Options, value string) error { return urlparam.Duration(&o.Timeout, "timeout", value) },
	"connections": func(o *Options, value string) error { return urlparam.Count(&o.Connections, "connections", value) },
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
func Parameters() []string { return parameters.Names() }

// parse reads memcached://host[:port][,host[:port]…][?parameter=value…] and returns the servers, sorted.
// Errors never quote what may be a password.
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
	servers, err = urlparam.Hosts(rest, defaultPort)
	add(err)
	add(parameters.Apply(&opts, query))
	slices.Sort(servers)
	if err := errors.Join(problems...); err != nil {
		return nil, opts, fmt.Errorf("memcachedconn: %w", err)
	}
	return servers, opts, nil
}
