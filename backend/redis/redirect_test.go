package redis_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/servertest"
)

// member is a server that answers commands as told; where it is told nothing, the connection ends. It greets like an old one.
func member(t *testing.T, answer func(self string, command []string) string) *wire.Server {
	t.Helper()
	s, err := wire.Listen(func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			command, err := readCommand(r)
			if err != nil {
				return
			}
			reply := "+OK\r\n"
			switch strings.ToLower(command[0]) {
			case "hello":
				reply = "-ERR unknown command\r\n"
			case "client", "asking":
			default:
				reply = answer(c.LocalAddr().String(), command)
			}
			if reply == "" {
				return
			}
			if _, err := io.WriteString(c, reply); err != nil {
				return
			}
		}
	})
	servertest.Require(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func readCommand(r *bufio.Reader) ([]string, error) {
	number := func() (n int, err error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		length, err := number()
		if err != nil {
			return nil, err
		}
		text := make([]byte, length+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:length])
	}
	return command, nil
}

// owns is the answer to CLUSTER SLOTS that gives a server the slots from 0 to last.
func owns(server string, last int) string {
	host, port, _ := net.SplitHostPort(server)
	return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:%d\r\n*3\r\n$%d\r\n%s\r\n:%s\r\n$2\r\nid\r\n", last, len(host), host, port)
}

func TestAMemberThatNamesNoHostsIsAtThatWhichWasAsked(t *testing.T) {
	t.Parallel()
	m := member(t, func(self string, command []string) string {
		if command[0] == "cluster" {
			host, _, _ := net.SplitHostPort(self)
			return strings.Replace(owns(self, 16383), fmt.Sprintf("$%d\r\n%s", len(host), host), "$-1", 1)
		}
		return "$-1\r\n"
	})
	d := redisStore(t, "redis-cluster://"+m.Addr())
	if r := d.Get(t.Context(), []string{"a"})[0]; r.Err != nil {
		t.Error(r.Err)
	}
}

func TestAnOpIsUnsentOnlyIfItWasNotSentItself(t *testing.T) {
	t.Parallel()
	m := member(t, func(self string, command []string) string {
		switch {
		case command[0] == "cluster":
			return owns(self, 16383)
		case slices.Contains(command, "moved"):
			return "-MOVED 1 127.0.0.1:1\r\n" // where nobody listens
		case command[0] == "info":
			return "$-1\r\n"
		default:
			return "" // it may have run
		}
	})
	d := redisStore(t, "redis-cluster://"+m.Addr())
	effects := d.Write(t.Context(), []driver.Op{add("moved"), add("lost")})
	for i, want := range []driver.Outcome{driver.Unsent, driver.Unknown} {
		if e := effects[i]; e.Outcome != want || !errors.Is(e.Err, backend.ErrUnavailable) {
			t.Errorf("op %d: %v %v, want %v", i, e.Outcome, e.Err, want)
		}
	}
}

func TestAServerThatIsGivenItsFirstSlotKeepsItsConnections(t *testing.T) {
	t.Parallel()
	fresh := member(t, func(string, []string) string { return "$-1\r\n" })
	old := member(t, func(self string, command []string) string {
		if command[0] == "cluster" {
			return owns(self, 16383)
		}
		return "-ASK 1 " + fresh.Addr() + "\r\n"
	})
	d := redisStore(t, "redis-cluster://"+old.Addr())
	for begin := time.Now(); time.Since(begin) < 500*time.Millisecond; { // ten times what passes between two questions for slots
		if r := d.Get(t.Context(), []string{"a"})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if n := fresh.Accepted(); n != 1 {
		t.Errorf("one reader made %d connections to a server without slots of its own", n)
	}
}

func TestSlotsThatNobodyOwnedAreFoundSoon(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	m := member(t, func(self string, command []string) string {
		if command[0] != "cluster" {
			return "$-1\r\n"
		}
		if asked.Add(1) == 1 {
			return owns(self, 0) // it has just joined, and has not heard of the others
		}
		return owns(self, 16383)
	})
	d := redisStore(t, "redis-cluster://"+m.Addr())
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		err := d.Get(t.Context(), []string{"a"})[0].Err
		if err == nil {
			break
		}
		if !errors.Is(err, backend.ErrUnavailable) {
			t.Fatal(err)
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
	}
}
