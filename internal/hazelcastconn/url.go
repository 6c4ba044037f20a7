package hazelcastconn

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/strata-cache/strata/internal/urlparam"
)

// Scheme is the scheme of the URLs that Open takes.
const Scheme = "hazelcast"

const form = "hazelcast://[user:password@]host[:port][,host[:port]…][?cluster=NAME&map=NAME&timeout=DURATION&…]"

// target is what a URL says: where, and with which settings.
type target struct {
	addrs []string // host:port, at least one
	opts  Options
}

// settings are what parameters change.
type settings struct {
	Options
	tls   bool
	files urlparam.TLSFiles
}

// parameters are the URL parameters that are known.
var parameters = urlparam.WithTLS(urlparam.Set[settings]{
	"cluster":   func(s *settings, value string) error { return urlparam.Text(&s.Cluster, "cluster", value) },
	"map":       func(s *settings, value string) error { return urlparam.Text(&s.Map, "map", value) },
	"timeout":   func(s *settings, value string) error { return urlparam.Duration(&s.Timeout, "timeout", value) },
	"max_reply": func(s *settings, value string) error { return urlparam.Count(&s.MaxReply, "max_reply", value) },
	"tls":       func(s *settings, value string) error { return enable(&s.tls, "tls", value) },
}, func(s *settings) *urlparam.TLSFiles { return &s.files })

func enable(to *bool, name, value string) error {
	if value != "true" {
		return fmt.Errorf("%s=%q is not true", name, value)
	}
	*to = true
	return nil
}

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string { return parameters.Names() }

// parse reads a URL of the form above, and reports every problem. The hosts are taken apart here: net/url knows only one.
// The URL itself is never part of an error: it may hold a password.
func parse(raw string, o *Options) (target, error) {
	opts, err := o.resolve()
	problems := []error{err}
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
	t := target{}
	if t.addrs, err = urlparam.Hosts(hosts, DefaultPort); err != nil {
		problems = append(problems, fmt.Errorf("hazelcastconn: %w", err))
	}
	s := settings{Options: opts}
	if u.User != nil && s.Username == "" {
		s.Username = u.User.Username()
		s.Password, _ = u.User.Password()
	}
	if err := parameters.Apply(&s, u.RawQuery); err != nil {
		problems = append(problems, fmt.Errorf("hazelcastconn: %w", err))
	}
	if s.TLS != nil || s.tls || s.files != (urlparam.TLSFiles{}) {
		if s.TLS, err = s.files.Config(s.TLS); err != nil {
			problems = append(problems, fmt.Errorf("hazelcastconn: %w", err))
		}
	}
	t.opts = s.withDefaults()
	return t, errors.Join(problems...)
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
