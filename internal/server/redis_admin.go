package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisAdmin is how this package talks to a Redis server or Sentinel: one command, or a few, on a connection of their
// own. A client library would bring its pools and retries into what is to be observed here.
type redisAdmin struct {
	password string
	tls      *RedisTLS
}

// redisConn is one such connection.
type redisConn struct {
	net.Conn
	r *bufio.Reader
}

// redisError is a reply that says no.
type redisError string

func (e redisError) Error() string { return string(e) }

// connect dials and logs in. All that is asked on the connection must be answered within a second, or longer if wait says so.
func (a redisAdmin) connect(ctx context.Context, addr string, wait time.Duration) (*redisConn, error) {
	conn, err := dialProbe(ctx, addr)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	if a.tls != nil {
		conn = tls.Client(conn, a.tls.probe())
	}
	c := &redisConn{Conn: conn, r: bufio.NewReader(conn)}
	if a.password != "" {
		if _, err := c.do("AUTH", a.password); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// ask sends one command on a connection of its own.
func (a redisAdmin) ask(ctx context.Context, addr string, args ...string) (any, error) {
	c, err := a.connect(ctx, addr, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.do(args...)
}

// info is a section of INFO, as a map.
func (a redisAdmin) info(ctx context.Context, addr, section string) (map[string]string, error) {
	text, err := asText(a.ask(ctx, addr, "INFO", section))
	return parseInfo(text), err
}

// ready is nil when the server at addr answers PING and is the process with this pid: another one may have taken the port
// first.
func (a redisAdmin) ready(ctx context.Context, addr string, pid int) error {
	if pong, err := asText(a.ask(ctx, addr, "PING")); err != nil || pong != "PONG" {
		return errors.Join(err, fmt.Errorf("PING answered %q", pong))
	}
	info, err := a.info(ctx, addr, "server")
	if err != nil {
		return err
	}
	if info["process_id"] != strconv.Itoa(pid) {
		return errors.New("another Redis server has this port")
	}
	return nil
}

// do sends a command and reads its answer: a string, an int64, a nil or a list of these. An error reply is an error.
func (c *redisConn) do(args ...string) (any, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	answer, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	return answer, nil
}

func (c *redisConn) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errors.New("an empty answer")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, redisError(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || (kind != ':' && n > 1<<20) {
		return nil, fmt.Errorf("answer %q", line)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		body := make([]byte, n+2)
		_, err := io.ReadFull(c.r, body)
		return string(body[:n]), err
	case kind == '*':
		list := make([]any, n)
		for i := range list {
			if list[i], err = c.read(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("answer %q", line)
}

// asText is for answers that must be text.
func asText(answer any, err error) (string, error) {
	if err != nil {
		return "", err
	}
	text, ok := answer.(string)
	if !ok {
		return "", fmt.Errorf("answer %v is no text", answer)
	}
	return text, nil
}

// asTexts is for answers that must be a list of texts.
func asTexts(answer any, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	list, ok := answer.([]any)
	if !ok {
		return nil, fmt.Errorf("answer %v is no list", answer)
	}
	texts := make([]string, len(list))
	for i, v := range list {
		if texts[i], ok = v.(string); !ok {
			return nil, fmt.Errorf("answer %v is no list of texts", answer)
		}
	}
	return texts, nil
}

// parseInfo reads lines of name:value.
func parseInfo(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[name] = value
		}
	}
	return fields
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
