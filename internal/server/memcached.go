package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// MemcachedOptions configures a Memcached server. The zero value, and nil, is a server with 64 MB.
type MemcachedOptions struct {
	// Port is the loopback port. Default 0: a free one.
	Port int

	// MemoryMB is how much the server may hold, in megabytes. Default 64.
	MemoryMB int

	// Args are further command line arguments, such as "-I", "2m". They win over ours.
	Args []string
}

// Memcached starts a Memcached server and waits until it answers "version". Its data is always lost on Restart.
func Memcached(ctx context.Context, o *MemcachedOptions) (*Server, error) {
	if o == nil {
		o = &MemcachedOptions{}
	}
	opts := *o
	if opts.MemoryMB < 0 {
		return nil, errors.New("server: MemcachedOptions.MemoryMB must not be negative")
	}
	if opts.MemoryMB == 0 {
		opts.MemoryMB = 64
	}
	bin, err := binary("memcached", "memcached")
	if err != nil {
		return nil, err
	}
	return start(ctx, spec{
		name:    "memcached",
		port:    opts.Port,
		startIn: 15 * time.Second,
		stopIn:  10 * time.Second,
		command: func(_ string, port int) ([]string, error) { return memcachedCommand(bin, port, &opts), nil },
		ready: func(ctx context.Context, addr string, p *process) error {
			return memcachedReady(ctx, addr, p.pid)
		},
		url: func(addr string) string { return "memcached://" + addr },
	})
}

func memcachedCommand(bin string, port int, o *MemcachedOptions) []string {
	argv := []string{bin, "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-m", strconv.Itoa(o.MemoryMB)}
	if os.Geteuid() == 0 {
		argv = append(argv, "-u", "root") // it refuses to run as root unless told so, as in containers
	}
	return append(argv, o.Args...)
}

// memcachedReady is nil when the server at addr answers and is the process with this pid: another one may have taken the
// port first.
func memcachedReady(ctx context.Context, addr string, pid int) error {
	conn, err := dialProbe(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
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
