package hazelcastconn

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Scheme is the scheme of the URLs that Open takes.
const Scheme = "hazelcast"

const form = "hazelcast://[user:password@]host[:port][,host[:port]…][?cluster=NAME&map=NAME&timeout=DURATION]"

// target is what a URL says: where, and with which settings.
type target struct {
	addrs []string // host:port, at least one
	opts  Options
}

var parameters = map[string]func(o *Options, value string) error{
	"cluster": func(o *Options, value string) error { return setName(&o.Cluster, "cluster", value) },
	"map":     func(o *Options, value string) error { return setName(&o.Map, "map", value) },
	"timeout": func(o *Options, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("timeout=%q is not a positive duration such as 250ms", value)
		}
		o.Timeout = d
		return nil
	},
}

func setName(to *string, name, value string) error {
	if value == "" {
		return fmt.Errorf("%s is empty", name)
	}
	*to = value
	return nil
}

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string { return slices.Sorted(maps.Keys(parameters)) }

// parse reads a URL of the form above. The hosts are taken apart here: net/url knows only one. The URL itself is never part
// of an error: it may hold a password.
func parse(raw string, o *Options) (target, error) {
	opts, err := o.resolve()
	if err != nil {
		return target{}, err
	}
	malformed := errors.New("hazelcastconn: malformed URL (not shown, it may hold a password): want " + form)
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme != Scheme {
		if ok && !strings.ContainsAny(scheme, ":@/ ") {
			return target{}, fmt.Errorf("hazelcastconn: unknown URL scheme %q: known is %s", scheme, Scheme)
		}
		return target{}, malformed
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse(Scheme + "://" + user + "hosts" + tail)
	if err != nil || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return target{}, malformed
	}
	t := target{opts: opts}
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := address(host)
		if err != nil {
			return target{}, err
		}
		if !slices.Contains(t.addrs, addr) {
			t.addrs = append(t.addrs, addr)
		}
	}
	if u.User != nil && t.opts.Username == "" {
		t.opts.Username = u.User.Username()
		t.opts.Password, _ = u.User.Password()
	}
	err = t.applyQuery(u.RawQuery)
	t.opts = t.opts.withDefaults()
	return t, err
}

func address(host string) (string, error) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), DefaultPort
		if strings.Contains(name, ":") && !strings.HasPrefix(host, "[") {
			return "", fmt.Errorf("hazelcastconn: %q is not host:port", host)
		}
	}
	if name == "" {
		name = "localhost"
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return "", fmt.Errorf("hazelcastconn: port %q is not a number", port)
		}
	}
	if port == "" {
		port = DefaultPort
	}
	return net.JoinHostPort(strings.ToLower(name), port), nil
}

// applyQuery sets what the URL's parameters say and reports every problem at once.
func (t *target) applyQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errors.New("hazelcastconn: malformed URL parameters")
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(query)) {
		set, known := parameters[name]
		switch values := query[name]; {
		case !known:
			problems = append(problems, fmt.Errorf("hazelcastconn: unknown URL parameter %q; known: %s", name,
				strings.Join(Parameters(), ", ")))
		case len(values) > 1:
			problems = append(problems, fmt.Errorf("hazelcastconn: URL parameter %q is given %d times", name, len(values)))
		default:
			if err := set(&t.opts, values[0]); err != nil {
				problems = append(problems, fmt.Errorf("hazelcastconn: URL parameter %w", err))
			}
		}
	}
	return errors.Join(problems...)
}

// server is the identity that two URLs of the same map share, whatever the order of their addresses.
func (t *target) server() string {
	return strings.Join(slices.Sorted(slices.Values(t.addrs)), ",") + "/" + t.opts.Cluster + "/" + t.opts.Map
}

// redacted is the URL as it may be shown to anybody.
func (t *target) redacted() string {
	user := ""
	if t.opts.Username != "" {
		user = url.PathEscape(t.opts.Username) + ":xxxxx@"
	}
	return Scheme + "://" + user + strings.Join(t.addrs, ",") + "?cluster=" + url.QueryEscape(t.opts.Cluster) +
		"&map=" + url.QueryEscape(t.opts.Map)
}
