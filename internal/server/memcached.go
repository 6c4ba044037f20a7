package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/strata-cache/strata/internal/testcert"
)

// MemcachedOptions configures a Memcached server. The zero value, and nil, is a server with 64 MB.
type MemcachedOptions struct {
	// Port is the loopback port. Default 0: a free one.
	Port int

	// MemoryMB is how much the server may hold, in megabytes. Default 64.
	MemoryMB int

	// WarmRestart makes Stop and Restart keep the data, its CAS ids included, by a memory file (-e). Kill loses it.
	// Default: a restarted server is empty.
	WarmRestart bool

	// Username and Password are what clients must authenticate with (-Y); they become part of the URL. Both or none,
	// without ':', spaces and line ends. Default: none.
	Username, Password string

	// TLS makes the server speak TLS and nothing else. Default: plain TCP.
	TLS *MemcachedTLS

	// Args are further command line arguments, such as "-I", "2m". They win over ours.
	Args []string
}

// MemcachedTLS is how a Memcached server speaks TLS.
type MemcachedTLS struct {
	// Leaf is the server's certificate. Required.
	Leaf *testcert.Leaf

	// Clients, if not nil, signed the certificates that clients must show.
	Clients *testcert.Authority
}

// Memcached starts a Memcached server and waits until it answers.
func Memcached(ctx context.Context, o *MemcachedOptions) (*Server, error) {
	if o == nil {
		o = &MemcachedOptions{}
	}
	opts := *o
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.MemoryMB == 0 {
		opts.MemoryMB = 64
	}
	bin, err := binary("memcached", "memcached")
	if err != nil {
		return nil, err
	}
	sp := spec{
		name:    "memcached",
		port:    opts.Port,
		startIn: 15 * time.Second,
		stopIn:  10 * time.Second,
		command: func(dir string, port int) ([]string, error) { return opts.command(bin, dir, port) },
		ready:   func(ctx context.Context, addr string, p *process) error { return opts.ready(ctx, addr, p.pid) },
		url:     opts.url,
	}
	if opts.WarmRestart {
		sp.keepDir, sp.endBy = true, sigUser
	}
	return start(ctx, sp)
}

func (o *MemcachedOptions) validate() error {
	switch {
	case o.MemoryMB < 0:
		return errors.New("server: MemcachedOptions.MemoryMB must not be negative")
	case (o.Username == "") != (o.Password == ""):
		return errors.New("server: MemcachedOptions.Username and Password: both or none")
	case strings.ContainsAny(o.Username+o.Password, ": \r\n"):
		return errors.New("server: MemcachedOptions.Username and Password must not have ':', spaces or line ends")
	case o.TLS != nil && o.TLS.Leaf == nil:
		return errors.New("server: MemcachedOptions.TLS needs Leaf")
	}
	return nil
}

// command writes what the server reads from its folder and returns its command line.
func (o *MemcachedOptions) command(bin, dir string, port int) ([]string, error) {
	argv := []string{bin, "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-m", strconv.Itoa(o.MemoryMB)}
	if os.Geteuid() == 0 {
		argv = append(argv, "-u", "root") // it refuses to run as root unless told so, as in containers
	}
	if o.WarmRestart {
		file := filepath.Join(dir, "memory")
		awaitMemory(file)
		argv = append(argv, "-e", file)
	}
	if o.Username != "" {
		file := filepath.Join(dir, "users")
		if err := os.WriteFile(file, []byte(o.Username+":"+o.Password+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("server: auth file: %w", err)
		}
		argv = append(argv, "-Y", file)
	}
	if o.TLS != nil {
		argv = append(argv, "-Z", "-o", "ssl_chain_cert="+o.TLS.Leaf.CertFile, "-o", "ssl_key="+o.TLS.Leaf.KeyFile)
		if o.TLS.Clients != nil {
			argv = append(argv, "-o", "ssl_ca_cert="+o.TLS.Clients.File, "-o", "ssl_verify_mode=2")
		}
	}
	return append(argv, o.Args...), nil
}

// awaitMemory waits until a server takes over the memory file that another one left: it throws it away if its clock, in
// whole seconds, is not past the time at which the other one ended by its own, which is up to a second ahead.
func awaitMemory(file string) {
	meta, err := os.ReadFile(file + ".meta")
	if err != nil {
		return // there was none, or it was killed: nothing to keep
	}
	_, rest, _ := strings.Cut(string(meta), "\nKstop_time ")
	line, _, _ := strings.Cut(rest, "\n")
	if ended, err := strconv.ParseInt(line, 10, 64); err == nil {
		time.Sleep(min(time.Until(time.Unix(ended+1, 0)), 5*time.Second))
	}
}

func (o *MemcachedOptions) url(addr string) string {
	u := url.URL{Scheme: "memcached", Host: addr}
	if o.TLS != nil {
		u.Scheme = "memcacheds"
	}
	if o.Username != "" {
		u.User = url.UserPassword(o.Username, o.Password)
	}
	return u.String()
}

// ready is nil when the server at addr answers and is the process with this pid: another one may have taken the port first.
func (o *MemcachedOptions) ready(ctx context.Context, addr string, pid int) error {
	conn, err := dialProbe(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if o.TLS != nil {
		// Whether this is the right process its pid says below; the client's side is tested elsewhere.
		config := &tls.Config{InsecureSkipVerify: true}
		if o.TLS.Clients != nil {
			config.Certificates = []tls.Certificate{o.TLS.Leaf.Certificate}
		}
		conn = tls.Client(conn, config)
	}
	r := bufio.NewReader(conn)
	if o.Username != "" {
		user := o.Username + " " + o.Password
		if _, err := fmt.Fprintf(conn, "set probe 0 -1 %d\r\n%s\r\n", len(user), user); err != nil {
			return err
		}
		if line, err := r.ReadString('\n'); err != nil || line != "STORED\r\n" {
			return errors.Join(fmt.Errorf("authentication answered %q", line), err)
		}
	}
	if _, err := io.WriteString(conn, "version\r\nstats\r\n"); err != nil {
		return err
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "VERSION ") {
		return fmt.Errorf("version answered %q", line)
	}
	for want := fmt.Sprintf("STAT pid %d", pid); ; {
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
		switch line = strings.TrimRight(line, "\r\n"); line {
		case want:
			return nil
		case "END":
			return errors.New("another Memcached server has this port")
		}
	}
}
