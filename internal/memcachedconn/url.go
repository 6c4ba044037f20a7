package memcachedconn

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/strata-cache/strata/internal/urlparam"
)

const (
	scheme       = "memcached"
	schemeSecure = "memcacheds"
	defaultPort  = "11211"
)

const form = "memcached://[user:password@]host[:port][,host[:port]…][?parameter=value…], or memcacheds:// for TLS"

// A target is what a URL and options say.
type target struct {
	servers []string // sorted
	secure  bool
	opts    Options
	files   urlparam.TLSFiles
}

// parameters are the URL parameters that are known, with what each does to a target.
var parameters = urlparam.WithTLS(urlparam.Set[target]{
	"timeout":     func(t *target, value string) error { return urlparam.Duration(&t.opts.Timeout, "timeout", value) },
	"connections": func(t *target, value string) error { return urlparam.Count(&t.opts.Connections, "connections", value) },
	"item_size": func(t *target, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < minItemSize || n > maxItemSize {
			return fmt.Errorf("item_size=%q is not a number of bytes from %d to %d", value, minItemSize, maxItemSize)
		}
		t.opts.ItemSize = n
		return nil
	},
	"pool": func(t *target, value string) error {
		if value == "" || len(value) > maxPoolName {
			return fmt.Errorf("pool=%q is empty or longer than %d bytes", value, maxPoolName)
		}
		t.opts.Pool = value
		return nil
	},
}, func(t *target) *urlparam.TLSFiles { return &t.files })

// Schemes returns the schemes of the URLs that Open takes.
func Schemes() []string { return []string{scheme, schemeSecure} }

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string { return parameters.Names() }

// parse reads a URL of the form above. Errors name every problem, and never quote what may be a password.
func parse(raw string, o *Options) (target, error) {
	var t target
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	opts, err := o.resolve()
	add(err)
	t.opts = opts
	known, rest, ok := strings.Cut(raw, "://")
	if !ok || known != scheme && known != schemeSecure {
		return t, errors.New("memcachedconn: want a URL like " + form)
	}
	t.secure = known == schemeSecure
	authority, query, _ := strings.Cut(rest, "?")
	user, hosts, found := cutLast(authority, "@")
	if strings.Contains(query, "@") {
		// What looks like a parameter may be the rest of a password.
		return t, errors.New("memcachedconn: malformed URL (not shown, it may hold a password): want " + form)
	}
	if found {
		add(t.opts.readUser(user))
	}
	add(t.opts.checkUser())
	t.servers, err = urlparam.Hosts(strings.TrimSuffix(hosts, "/"), defaultPort)
	add(err)
	slices.Sort(t.servers)
	add(parameters.Apply(&t, query))
	switch {
	case t.secure:
		t.opts.TLS, err = t.files.Config(t.opts.TLS)
		add(err)
	case t.opts.TLS != nil:
		add(errors.New("Options.TLS is set but the URL is memcached://: use memcacheds://"))
	case t.files != urlparam.TLSFiles{}:
		add(errors.New("the URL has parameters of TLS but is memcached://: use memcacheds://"))
	}
	if err := errors.Join(problems...); err != nil {
		return t, fmt.Errorf("memcachedconn: %w", err)
	}
	return t, nil
}

// readUser takes user:password, percent-encoded, from a URL, unless the options have some.
func (o *Options) readUser(s string) error {
	name, password, _ := strings.Cut(s, ":")
	name, errName := url.PathUnescape(name)
	password, errPassword := url.PathUnescape(password)
	if errName != nil || errPassword != nil {
		return errors.New("the URL's user name or password is not percent-encoded")
	}
	if o.Username == "" && o.Password == "" {
		o.Username, o.Password = name, password
	}
	return nil
}

// cutLast cuts s around the last sep; without one, all is behind it.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}
