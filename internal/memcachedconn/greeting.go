package memcachedconn

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

const maxStats = 64 << 10

// A greeting is what is said on a connection before gomemcache has it.
type greeting struct {
	nc  net.Conn
	in  io.LimitedReader
	r   *bufio.Reader
	key string // of the mark or nonce

	heard bool // the server said something
}

func newGreeting(nc net.Conn, key string) *greeting {
	g := &greeting{nc: nc, key: key, in: io.LimitedReader{R: nc}}
	g.r = bufio.NewReader(&g.in)
	return g
}

// ask sends a command, and lets the server answer at most so much.
func (g *greeting) ask(command string) error {
	g.in.N = maxStats
	_, err := io.WriteString(g.nc, command)
	return err
}

// line reads a line of the answer.
func (g *greeting) line() (string, error) {
	line, err := readLine(g.r)
	g.heard = g.heard || err == nil
	return line, err
}

// authenticate names the user by the text protocol's way, a command to store. On a server that wants no user it would
// leave the password to everybody: hence the expiry in the past.
func (g *greeting) authenticate(o *Options) error {
	user := o.Username + " " + o.Password
	if err := g.ask(fmt.Sprintf("set strata:user 0 -1 %d\r\n%s\r\n", len(user), user)); err != nil {
		return err
	}
	switch line, err := g.line(); {
	case err != nil:
		return err
	case strings.HasPrefix(line, "CLIENT_ERROR"):
		return ErrCredentials // the line is not shown: a proxy may repeat what it was told
	case line != "STORED":
		return fmt.Errorf("%w to a user", errHandshake)
	}
	return nil
}

// A found is what a server says of itself.
type found struct {
	value string // of the mark or nonce
	id    uint64 // its CAS id
	pid   string
}

// read adds an item of that value if there is none, reads the one that is there, and the server's process id, in one
// round trip. Every Get reads the item again, but nothing ever reads the process id again, and one that was changed on its way would
// make a writer empty a key that nobody reads: so it is asked for twice.
func (g *greeting) read(fresh string) (f found, err error) {
	if err := g.ask(fmt.Sprintf("add %s 0 0 %d\r\n%s\r\ngets %s\r\nstats\r\nstats\r\n", g.key, len(fresh), fresh, g.key)); err != nil {
		return found{}, err
	}
	switch line, err := g.line(); {
	case err != nil:
		return found{}, err
	case strings.HasPrefix(line, "CLIENT_ERROR unauth"):
		return found{}, ErrCredentials
	case line != "STORED" && line != "NOT_STORED":
		return found{}, fmt.Errorf("%w: %.80q", errHandshake, line)
	}
	line, err := g.line()
	if err != nil {
		return found{}, err
	}
	header, ok := strings.CutPrefix(line, "VALUE "+g.key+" 0 ")
	size, id, _ := strings.Cut(header, " ")
	if n, err := strconv.Atoi(size); !ok || err != nil || n < 0 || n > maxMark {
		return found{}, fmt.Errorf("%w: %.80q", errHandshake, line)
	}
	if f.id, err = strconv.ParseUint(id, 10, 64); err != nil {
		return found{}, fmt.Errorf("%w: %.80q", errHandshake, line)
	}
	if f.value, err = g.line(); err != nil {
		return found{}, err
	}
	if line, err := g.line(); err != nil || line != "END" {
		if err == nil {
			err = errForeignMark // it holds a line end
		}
		return found{}, err
	}
	var pids [2]string
	for i := range pids {
		stats, err := readStats(g.r)
		if err != nil {
			return found{}, err
		}
		pids[i] = stats["pid"]
	}
	if f.pid = pids[0]; f.pid == "" || f.pid != pids[1] || strings.Contains(f.pid, " ") || g.r.Buffered() > 0 {
		return found{}, errHandshake
	}
	return f, nil
}

// swap replaces the item that was found, and reports whether it still was there.
func (g *greeting) swap(f found, value string) (bool, error) {
	if err := g.ask(fmt.Sprintf("cas %s 0 0 %d %d\r\n%s\r\n", g.key, len(value), f.id, value)); err != nil {
		return false, err
	}
	switch line, err := g.line(); {
	case err != nil:
		return false, err
	case line == "STORED":
		return true, nil
	case line == "EXISTS", line == "NOT_FOUND":
		return false, nil
	default:
		return false, fmt.Errorf("%w: %.80q", errHandshake, line)
	}
}

// readStats reads the reply to "stats".
func readStats(r *bufio.Reader) (map[string]string, error) {
	stats := make(map[string]string)
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if line == "END" {
			return stats, nil
		}
		pair, ok := strings.CutPrefix(line, "STAT ")
		if !ok {
			return nil, fmt.Errorf("%w: %.80q", errHandshake, line)
		}
		name, value, _ := strings.Cut(pair, " ")
		stats[name] = value
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}
