package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/strata-cache/strata/internal/testcert"
)

// RedisOptions configures a Redis server. The zero value, and nil, is an empty server that persists nothing.
type RedisOptions struct {
	// Port is the loopback port. Default 0: a free one.
	Port int

	// Persist keeps the data across Restart, a kill included: each write is on disk before it is answered
	// (append-only file, fsync always). Default: a restarted server is empty.
	Persist bool

	// KeepFolder keeps the server's folder, which Dir returns, across Restart: what was put there as dump.rdb is loaded.
	// Default: the folder goes with each run.
	KeepFolder bool

	// Password is what the default user must authenticate with; it becomes part of the URL. Default "": none.
	Password string

	// Users may log in beside the default user. Default: none.
	Users []RedisUser

	// TLS makes the server speak TLS and nothing else. Default: plain TCP.
	TLS *RedisTLS

	// Args are further command line arguments, such as "--maxmemory", "64mb". They win over ours.
	Args []string
}

// A RedisUser is a user of the server's access control list.
type RedisUser struct {
	// Name and Password are what the user logs in with. Both are required, and hold no space.
	Name, Password string

	// Rules are what the user may do, in Redis's words, such as "~app:* &* +get +set". Default: everything.
	Rules string
}

// RedisTLS is how a Redis server speaks TLS, to its clients and to the other nodes of its cluster.
type RedisTLS struct {
	// Authority signed the certificates of the peers that the server trusts. Required.
	Authority *testcert.Authority

	// Leaf is the server's own certificate. Required. With Mutual it must be good for a client too, as all of
	// testcert are.
	Leaf *testcert.Leaf

	// Mutual refuses clients without a certificate of Authority.
	Mutual bool
}

// Redis starts a Redis server and waits until it answers a PING.
func Redis(ctx context.Context, o *RedisOptions) (*Server, error) {
	if o == nil {
		o = &RedisOptions{}
	}
	sp, err := redisSpec(o)
	if err != nil {
		return nil, err
	}
	return start(ctx, sp)
}

// redisSpec describes one server with the options, which are copied, and further arguments, which the options' win over.
func redisSpec(o *RedisOptions, further ...string) (spec, error) {
	opts := *o
	if err := opts.validate(); err != nil {
		return spec{}, err
	}
	bin, err := binary("redis-server", "redis")
	if err != nil {
		return spec{}, err
	}
	admin := opts.admin()
	return spec{
		name:    "redis",
		port:    opts.Port,
		startIn: 15 * time.Second,
		stopIn:  10 * time.Second,
		keepDir: opts.Persist || opts.KeepFolder,
		command: func(dir string, port int) ([]string, error) {
			argv := append([]string{bin}, opts.args(dir, port)...)
			return append(append(argv, further...), opts.Args...), nil
		},
		ready: func(ctx context.Context, addr string, p *process) error { return admin.ready(ctx, addr, p.pid) },
		url:   func(addr string) string { return redisURL("", "", opts.Password, opts.TLS != nil, addr) },
	}, nil
}

func (o *RedisOptions) validate() error {
	for _, u := range o.Users {
		if u.Name == "" || u.Password == "" || strings.ContainsAny(u.Name+u.Password, " \t\r\n") {
			return errors.New("server: RedisOptions.Users: each needs a name and a password without spaces")
		}
	}
	if o.TLS != nil && (o.TLS.Authority == nil || o.TLS.Leaf == nil) {
		return errors.New("server: RedisOptions.TLS needs Authority and Leaf")
	}
	return nil
}

func (o *RedisOptions) admin() redisAdmin { return redisAdmin{password: o.Password, tls: o.TLS} }

// args is the command line, save for Args.
func (o *RedisOptions) args(dir string, port int) []string {
	args := []string{"--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no", "--save", ""}
	args = append(args, o.TLS.args(port)...)
	if o.Persist {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	} else {
		args = append(args, "--appendonly", "no")
	}
	if o.Password != "" {
		args = append(args, "--requirepass", o.Password)
	}
	for _, u := range o.Users {
		rules := u.Rules
		if rules == "" {
			rules = "~* &* +@all"
		}
		args = append(args, "--user", u.Name, "on", ">"+u.Password)
		args = append(args, strings.Fields(rules)...)
	}
	return args
}

// args says on which port the server listens, and how.
func (t *RedisTLS) args(port int) []string {
	if t == nil {
		return []string{"--port", strconv.Itoa(port)}
	}
	mutual := "no"
	if t.Mutual {
		mutual = "yes"
	}
	return []string{
		"--port", "0", "--tls-port", strconv.Itoa(port),
		"--tls-cert-file", t.Leaf.CertFile, "--tls-key-file", t.Leaf.KeyFile, "--tls-ca-cert-file", t.Authority.File,
		"--tls-auth-clients", mutual, "--tls-replication", "yes", "--tls-cluster", "yes",
	}
}

// probe is the configuration of a connection of our own. It does not look at the server's certificate, because tests give
// servers certificates that no client should take.
func (t *RedisTLS) probe() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{t.Leaf.Certificate}}
}

// redisURL is what backend.Open takes. Kind is what follows redis or rediss in the scheme, such as "-cluster".
func redisURL(kind, path, password string, secure bool, addrs ...string) string {
	u := url.URL{Scheme: "redis" + kind, Host: strings.Join(addrs, ","), Path: path}
	if secure {
		u.Scheme = "rediss" + kind
	}
	if password != "" {
		u.User = url.UserPassword("", password)
	}
	return u.String()
}
