package hazelcastconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/strata-cache/strata/internal/urlparam"
)

// Scheme is the scheme of the URLs that Open takes.
const Scheme = "hazelcast"

const form = "hazelcast://[user:password@]host[:port][,host[:port]…][?cluster=NAME&map=NAME&timeout=DURATION]"

// target is what a URL says: where, and with which settings.
type target struct {
	addrs []string // host:port, at least one
	opts  Options
}

// parameters are the URL parameters that are known, with what each does to the options.
var parameters = urlparam.Set[Options]{
	"cluster": func(o *Options, value string) error { return setName(&o.Cluster, "cluster", value) },
	"map":     func(o *Options, value string) error { return setName(&o.Map, "map", value) },
	"timeout": func(o *Options, value string) error { return urlparam.Duration(&o.Timeout, "timeout", value) },
}

func setName(to *string, name, value string) error {
	if value == "" {
		return fmt.Errorf("%s is empty", name)
	}
	*to = value
	return nil
}

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string { return parameters.Names() }

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
	err = parameters.Apply(&t.opts, u.RawQuery)
	if err != nil {
		err = fmt.Errorf("hazelcastconn: %w", err)
	}
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
