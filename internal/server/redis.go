package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// RedisOptions configures a Redis server. The zero value, and nil, is an empty server that persists nothing.
type RedisOptions struct {
	// Port is the loopback port. Default 0: a free one.
	Port int

	// Persist keeps the data across Restart, a kill included: each write is on disk before it is answered
	// (append-only file, fsync always). Default: a restarted server is empty.
	Persist bool

	// Password is what clients must authenticate with; it becomes part of the URL. Default "": none.
	Password string

	// Args are further command line arguments, such as "--maxmemory", "64mb". They win over ours.
	Args []string
}

// Redis starts a Redis server and waits until it answers a PING.
func Redis(ctx context.Context, o *RedisOptions) (*Server, error) {
	if o == nil {
		o = &RedisOptions{}
	}
	opts := *o
	bin, err := binary("redis-server", "redis")
	if err != nil {
		return nil, err
	}
	return start(ctx, spec{
		name:    "redis",
		port:    opts.Port,
		startIn: 15 * time.Second,
		stopIn:  10 * time.Second,
		keepDir: opts.Persist,
		command: func(dir string, port int) ([]string, error) { return redisCommand(bin, dir, port, &opts), nil },
		ready: func(ctx context.Context, addr string, p *process) error {
			return redisReady(ctx, addr, opts.Password, p.pid)
		},
		url: func(addr string) string {
			u := url.URL{Scheme: "redis", Host: addr}
			if opts.Password != "" {
				u.User = url.UserPassword("", opts.Password)
			}
			return u.String()
		},
	})
}

func redisCommand(bin, dir string, port int, o *RedisOptions) []string {
	argv := []string{
		bin, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--daemonize", "no", "--save", "",
	}
	if o.Persist {
		argv = append(argv, "--appendonly", "yes", "--appendfsync", "always")
	} else {
		argv = append(argv, "--appendonly", "no")
	}
	if o.Password != "" {
		argv = append(argv, "--requirepass", o.Password)
	}
	return append(argv, o.Args...)
}

// redisReady is nil when the server at addr answers PING and is the process with this pid: another one may have taken
// the port first.
func redisReady(ctx context.Context, addr, password string, pid int) error {
	conn, err := dialProbe(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if password != "" {
		if err := redisExpect(conn, r, "+OK", "AUTH", password); err != nil {
			return err
		}
	}
	if err := redisExpect(conn, r, "+PONG", "PING"); err != nil {
		return err
	}
	info, err := redisAsk(conn, r, "INFO", "server")
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(strings.TrimPrefix(info, "$"))
	if err != nil || size < 0 || size > 1<<20 {
		return fmt.Errorf("INFO answered %q", info)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	if !strings.Contains(string(body), fmt.Sprintf("process_id:%d\r\n", pid)) {
		return errors.New("another Redis server has this port")
	}
	return nil
}

func redisExpect(conn net.Conn, r *bufio.Reader, want string, args ...string) error {
	got, err := redisAsk(conn, r, args...)
	if err == nil && got != want {
		err = fmt.Errorf("%s answered %q", args[0], got)
	}
	return err
}

// redisAsk sends one command and returns the first line of its answer.
func redisAsk(conn net.Conn, r *bufio.Reader, args ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", err
	}
	line, err := r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// dialProbe connects for one readiness question. The answer must come within a second: a server that takes longer is
// asked again.
func dialProbe(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
