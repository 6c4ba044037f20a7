package memcachedconn

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/sentinel"
)

const (
	fakeNonce = "0123456789abcdef"
	nonceItem = "VALUE " + NonceKey + " 0 16 1\r\n" + fakeNonce + "\r\n"
)

// fake is a server that shakes hands, and then answers each line that begins with "gets" by reply; TAG in it is the
// incarnation.
func fake(t *testing.T, reply func(nth int) string) *Pool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { // ends when l closes
		for n := 0; ; {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					break
				}
				switch {
				case line == "gets "+NonceKey+"\r\n":
					io.WriteString(c, "NOT_STORED\r\n"+nonceItem+"END\r\n")
				case line == "stats\r\n":
					io.WriteString(c, "STAT pid 1\r\nEND\r\n")
				case strings.HasPrefix(line, "gets ") && strings.Contains(line, NonceKey+" "):
					n++
					tag := line[strings.Index(line, NonceKey)+len(NonceKey)+1:][:tagLen]
					answer := strings.ReplaceAll(reply(n), "TAG", tag)
					io.WriteString(c, strings.TrimSuffix(answer, "HANGUP"))
					if strings.HasSuffix(answer, "HANGUP") {
						c.Close()
					}
				}
			}
			c.Close()
		}
	})
	p := pool(t, "memcached://"+l.Addr().String()+"?timeout=2s")
	t.Cleanup(func() {
		p.Close()
		l.Close()
		serving.Wait()
	})
	return p
}

func read(p *Pool, key string) (item *memcache.Item, err error) {
	err = p.Pick(key).Read(context.Background(), func(s *Session) error {
		items, err := s.Get(key)
		if err == nil {
			item = items[0]
		}
		return err
	})
	return item, err
}

func TestHostileReplies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply string
		want  error
	}{
		"absurd length":         {nonceItem + "VALUE TAG:k 0 3000000000 7\r\n", errLongValue},
		"longer than an item":   {nonceItem + "VALUE TAG:k 0 1048577 7\r\n", errLongValue},
		"another key":           {nonceItem + "VALUE TAG:other 0 1 7\r\nx\r\nEND\r\n", errForeign},
		"more values":           {nonceItem + strings.Repeat("VALUE TAG:k 0 1 7\r\nx\r\n", 5) + "END\r\n", errManyValues},
		"endless line":          {nonceItem + strings.Repeat("x", 10000), bufio.ErrBufferFull},
		"another nonce":         {"VALUE " + NonceKey + " 0 16 1\r\nfedcba9876543210\r\nEND\r\n", errMoved},
		"no nonce":              {"VALUE TAG:k 0 1 7\r\nx\r\nEND\r\n", errMoved},
		"hang up in the middle": {nonceItem + "VALUE TAG:k 0 10 7\r\nxHANGUP", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fake(t, func(int) string { return c.reply })
			item, err := read(p, "k")
			if item != nil || !errors.Is(err, c.want) || !errors.Is(err, sentinel.ErrUnavailable) {
				t.Errorf("%v, %v, want %v", item, err, c.want)
			}
		})
	}
}

func TestAnAbsurdLengthAllocatesNothing(t *testing.T) { // not parallel: it looks at the heap
	p := fake(t, func(int) string { return nonceItem + "VALUE TAG:k 0 3000000000 7\r\n" })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := read(p, "k"); err == nil {
		t.Error("no error")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
}

func TestAnErrorReplyIsNoMiss(t *testing.T) {
	t.Parallel()
	p := fake(t, func(int) string { return "SERVER_ERROR out of memory writing get response\r\n" })
	_, err := read(p, "k")
	var reply *ReplyError
	if !errors.As(err, &reply) || !errors.Is(err, sentinel.ErrUnavailable) || reply.NothingDone() {
		t.Error(err)
	}
}

func TestAReadIsRepeatedOnceOnADeadConnection(t *testing.T) {
	t.Parallel()
	good := nonceItem + "VALUE TAG:k 0 1 7\r\nx\r\nEND\r\n"
	p := fake(t, func(n int) string {
		if n == 2 {
			return "HANGUP"
		}
		return good
	})
	for i := range 3 {
		if item, err := read(p, "k"); err != nil || item == nil {
			t.Errorf("read %d: %v, %v", i, item, err)
		}
	}
	p = fake(t, func(n int) string {
		if n >= 2 {
			return "HANGUP"
		}
		return good
	})
	read(p, "k")
	if _, err := read(p, "k"); !errors.Is(err, sentinel.ErrUnavailable) {
		t.Errorf("a second failure: %v", err)
	}
}

func TestASlowDripEndsInTime(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	c := &conn{Conn: a, raw: a, reply: replies{itemSize: 100}}
	if err := c.begin(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends when b closes
		defer close(done)
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			if _, err := b.Write([]byte("x")); err != nil {
				tick.Stop()
				return
			}
		}
	}()
	buf := make([]byte, 1)
	begin := time.Now()
	for {
		c.SetDeadline(time.Now().Add(time.Hour)) // as gomemcache does for each item
		if _, err := c.Read(buf); err != nil {
			break
		}
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("took %v", took)
	}
	c.Close()
	b.Close()
	<-done
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte(nonceItem+"END\r\n"), 3)
	f.Add([]byte("VALUE k 0 3000000000 7\r\n"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		if step < 1 {
			step = 1
		}
		whole, parts := replies{itemSize: 100}, replies{itemSize: 100}
		whole.begin(5)
		parts.begin(5)
		want := whole.feed(stream)
		var got error
		for b := stream; len(b) > 0 && got == nil; b = b[min(step, len(b)):] {
			got = parts.feed(b[:min(step, len(b))])
		}
		if (want == nil) != (got == nil) {
			t.Errorf("%v in one piece, %v in pieces of %d", want, got, step)
		}
	})
}
