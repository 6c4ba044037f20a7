package redisconn

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/strata-cache/strata/internal/urlparam"
)

// A kind is how servers are found.
type kind int

const (
	singleServer kind = iota
	sentinels
	cluster
)

// schemes are the URL schemes that Open knows.
var schemes = map[string]struct {
	kind kind
	tls  bool
	form string
}{
	"redis":           {singleServer, false, "redis://host:port/db"},
	"rediss":          {singleServer, true, "rediss://host:port/db"},
	"redis-sentinel":  {sentinels, false, "redis-sentinel://host:port,host:port/MASTER/db"},
	"rediss-sentinel": {sentinels, true, "rediss-sentinel://host:port,host:port/MASTER/db"},
	"redis-cluster":   {cluster, false, "redis-cluster://host:port,host:port"},
	"rediss-cluster":  {cluster, true, "rediss-cluster://host:port,host:port"},
}

// Schemes returns the schemes of the URLs that Open knows, sorted.
func Schemes() []string {
	names := make([]string, 0, len(schemes))
	for name := range schemes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// target is what a URL says: where, and with which settings.
type target struct {
	scheme string
	kind   kind
	hosts  []string // host:port: the server, the sentinels, or members of the cluster
	master string   // what the sentinels call it
	db     int
	tls    bool
	opts   Options
}

// parameters are the URL parameters that are known, with what each does to the options.
var parameters = urlparam.WithTLS(urlparam.Set[Options]{
	"timeout":       func(o *Options, v string) error { return urlparam.Duration(&o.Timeout, "timeout", v) },
	"pool_size":     func(o *Options, v string) error { return urlparam.Count(&o.PoolSize, "pool_size", v) },
	"min_idle":      func(o *Options, v string) error { return urlparam.Count(&o.MinIdle, "min_idle", v) },
	"max_idle_time": func(o *Options, v string) error { return urlparam.Duration(&o.MaxIdleTime, "max_idle_time", v) },
	"max_value":     func(o *Options, v string) error { return urlparam.Count(&o.MaxValue, "max_value", v) },
	"max_age":       func(o *Options, v string) error { return urlparam.Duration(&o.MaxAge, "max_age", v) },
	"client_name": func(o *Options, v string) error {
		if v == "" || strings.ContainsAny(v, " \r\n") {
			return fmt.Errorf("client_name=%q is empty or contains a space", v)
		}
		o.ClientName = v
		return nil
	},
	"protocol": func(o *Options, v string) error {
		if v != "2" && v != "3" {
			return fmt.Errorf("protocol=%q is not 2 or 3", v)
		}
		o.Protocol = int(v[0] - '0')
		return nil
	},
	"replica_reads": func(o *Options, v string) error {
		if v != "true" && v != "false" {
			return fmt.Errorf("replica_reads=%q is not true or false", v)
		}
		o.ReplicaReads = v == "true"
		return nil
	},
	"sentinel_username": func(o *Options, v string) error { return urlparam.Text(&o.SentinelUsername, "sentinel_username", v) },
}, func(o *Options) *urlparam.TLSFiles { return &o.files })

// Parameters returns the names of the URL parameters that Open knows, sorted.
func Parameters() []string { return parameters.Names() }

// parse reads a URL of one of the schemes. The error names every problem, and shows of the URL nothing that may be a
// password: net/url, which knows one host only, would quote all of it.
func parse(raw string, o *Options) (target, error) {
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	opts, err := o.resolve()
	add(err)
	t := target{opts: opts}
	scheme, rest, ok := strings.Cut(raw, "://")
	known, is := schemes[scheme]
	switch {
	case !ok:
		return t, errors.New("redisconn: not a URL: want redis://host:port/db or the like")
	case !is:
		return t, fmt.Errorf("redisconn: unknown URL scheme %q: known are %s", scheme, strings.Join(Schemes(), ", "))
	}
	t.scheme, t.kind, t.tls = scheme, known.kind, known.tls

	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(rest+query, "#") || strings.Contains(path+query, "@") {
		// What looks like a path or a parameter may be the rest of a password.
		return t, fmt.Errorf("redisconn: malformed URL (not shown, it may hold a password): want %s, and / ? # @ in a user, password or parameter as %%2F %%3F %%23 %%40", known.form)
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		add(t.credentials(authority[:at]))
		authority = authority[at+1:]
	}
	port := "6379"
	if t.kind == sentinels {
		port = "26379"
	}
	if authority == "" && t.kind == singleServer {
		authority = "localhost"
	} else if strings.HasPrefix(authority, ":") && t.kind == singleServer {
		authority = "localhost" + authority
	}
	t.hosts, err = urlparam.Hosts(authority, port)
	add(err)
	if t.kind == singleServer && len(t.hosts) > 1 {
		add(errors.New("more than one server: that is redis-cluster:// or redis-sentinel://"))
	}
	add(t.path(strings.TrimSuffix(path, "/"), known.form))
	add(parameters.Apply(&t.opts, query))
	add(t.check())
	if err := errors.Join(problems...); err != nil {
		return t, fmt.Errorf("redisconn: %w", err)
	}
	return t, nil
}

// credentials takes user:password, unless the options have some.
func (t *target) credentials(userinfo string) error {
	user, password, _ := strings.Cut(userinfo, ":")
	user, errUser := url.PathUnescape(user)
	password, errPassword := url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return errors.New("malformed URL: its user or password (not shown) has a % that escapes nothing; write %25")
	}
	if t.opts.Password == "" && t.opts.Credentials == nil {
		t.opts.Username, t.opts.Password = user, password
	}
	return nil
}

// path reads what follows the hosts.
func (t *target) path(path, form string) error {
	db := path
	if t.kind == sentinels {
		t.master, db, _ = strings.Cut(path, "/")
		var err error
		if t.master, err = url.PathUnescape(t.master); err != nil || t.master == "" || strings.ContainsAny(t.master, " \r\n") {
			return fmt.Errorf("the URL names no master that the sentinels watch: want %s", form)
		}
	}
	if db == "" {
		return nil
	}
	n, err := strconv.Atoi(db)
	if err != nil || n < 0 || db[0] == '+' {
		return fmt.Errorf("database %q is not a number", db)
	}
	if t.kind == cluster && n != 0 {
		return fmt.Errorf("database %d: a cluster has database 0 only", n)
	}
	t.db = n
	return nil
}

// check finds settings that do not go with the URL's scheme.
func (t *target) check() error {
	var problems []error
	if !t.tls && t.opts.TLS != nil {
		problems = append(problems, fmt.Errorf("Options.TLS is set but the URL is %s://: use %s://", t.scheme, strings.Replace(t.scheme, "redis", "rediss", 1)))
	}
	if !t.tls && t.opts.files != (urlparam.TLSFiles{}) {
		problems = append(problems, fmt.Errorf("a URL parameter tls_… is set but the URL is %s://: use %s://", t.scheme, strings.Replace(t.scheme, "redis", "rediss", 1)))
	}
	if t.kind != sentinels && (t.opts.SentinelUsername != "" || t.opts.SentinelPassword != "") {
		problems = append(problems, fmt.Errorf("credentials of sentinels are set but the URL is %s://", t.scheme))
	}
	if t.kind == sentinels && t.opts.SentinelUsername != "" && t.opts.SentinelPassword == "" {
		problems = append(problems, errors.New("the sentinels' user is given without Options.SentinelPassword"))
	}
	if t.kind == singleServer && t.opts.ReplicaReads {
		problems = append(problems, fmt.Errorf("replica reads are switched on but the URL is %s://, which knows no replicas", t.scheme))
	}
	if t.tls {
		if config, err := t.opts.files.Config(t.opts.TLS); err != nil {
			problems = append(problems, err)
		} else {
			t.opts.TLS = config
		}
	}
	return errors.Join(problems...)
}

// server is the identity that two URLs of the same database share.
func (t *target) server() string {
	hosts := t.hosts
	if t.kind != singleServer {
		hosts = slices.Sorted(slices.Values(hosts))
	}
	at := strings.Join(hosts, ",")
	if t.kind == sentinels {
		at += "/" + t.master
	}
	return at + "/" + strconv.Itoa(t.db)
}

// redacted is the URL as it may be shown to anybody.
func (t *target) redacted() string {
	user := ""
	if t.opts.Username != "" || t.opts.Password != "" {
		user = url.PathEscape(t.opts.Username) + ":xxxxx@"
	}
	path := "/" + strconv.Itoa(t.db)
	if t.kind == sentinels {
		path = "/" + url.PathEscape(t.master) + path
	}
	return t.scheme + "://" + user + strings.Join(t.hosts, ",") + path
}
