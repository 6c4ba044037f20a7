package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
)

const (
	patience = 20 * time.Second
	silence  = 100 * time.Millisecond // in which nothing comes
)

func echo(c net.Conn) { io.Copy(c, c) }

// behind starts an echo server behind a proxy.
func behind(t *testing.T) *wire.Proxy {
	t.Helper()
	s, err := wire.Listen(echo)
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.New(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); s.Close() })
	return p
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, wanted string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, len(wanted))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != wanted {
		t.Fatalf("received %q, %v; want %q", b[:n], err, wanted)
	}
}

func receiveNothing(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(silence))
	if n, err := c.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("received %d bytes, %v; want silence", n, err)
	}
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// ended reads until the connection has ended, and returns how.
func ended(t *testing.T, c net.Conn) error {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection goes on")
	}
	return err
}

func TestBytesPassAndAreCounted(t *testing.T) {
	t.Parallel()
	p := behind(t)
	c := dial(t, p.Addr())
	big := strings.Repeat("0123456789", 100_000)
	go c.Write([]byte(big)) // ends when the echo below was read
	receive(t, c, big)
	if up, down := p.Bytes(wire.ToServer), p.Bytes(wire.ToClient); up != 1e6 || down != 1e6 {
		t.Errorf("counted %d and %d bytes", up, down)
	}
	if p.Open() != 1 || p.Accepted() != 1 {
		t.Errorf("open %d, accepted %d", p.Open(), p.Accepted())
	}
	c.(*net.TCPConn).CloseWrite()
	if err := ended(t, c); err != nil {
		t.Errorf("half-closed: %v", err)
	}
	await(t, "no connection is open", func() bool { return p.Open() == 0 })
}

func TestAConnectionThatItsClientClosedIsNotOpen(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s, err := wire.Listen(func(net.Conn) { <-release }) // and never closes
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.New(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer p.Close()
	defer close(release)
	c := dial(t, p.Addr())
	await(t, "it is open", func() bool { return p.Open() == 1 })
	c.Close()
	await(t, "it is not open", func() bool { return p.Open() == 0 })
}

func TestAHangLosesNothing(t *testing.T) {
	t.Parallel()
	for _, d := range []wire.Direction{wire.ToServer, wire.ToClient} {
		p := behind(t)
		c := dial(t, p.Addr())
		send(t, c, "a")
		receive(t, c, "a")
		p.Set(wire.Fault{Hang: true}, d)
		send(t, c, "b")
		receiveNothing(t, c)
		fresh := dial(t, p.Addr())
		send(t, fresh, "c")
		receiveNothing(t, fresh)
		p.Heal()
		receive(t, c, "b")
		receive(t, fresh, "c")
	}
}

func TestABlackHoleLosesWhatCame(t *testing.T) {
	t.Parallel()
	for _, d := range []wire.Direction{wire.ToServer, wire.ToClient} {
		p := behind(t)
		c := dial(t, p.Addr())
		p.Set(wire.Fault{Blackhole: true}, d)
		send(t, c, "lost")
		await(t, "it was read", func() bool { return p.Bytes(d) == 4 })
		p.Heal()
		send(t, c, "kept")
		receive(t, c, "kept")
	}
}

func TestAFaultMayConcernSomeConnections(t *testing.T) {
	t.Parallel()
	p := behind(t)
	first, second := dial(t, p.Addr()), dial(t, p.Addr())
	await(t, "both are there", func() bool { return p.Accepted() == 2 })
	p.Set(wire.Fault{Hang: true, Only: func(n int) bool { return n == 0 }})
	for _, c := range []net.Conn{first, second} {
		send(t, c, "x")
	}
	receive(t, second, "x")
	receiveNothing(t, first)
}

func TestDelayAndDripTakeTheirTime(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]wire.Fault{
		"delay": {Delay: silence},
		"drip":  {Drip: 3, Every: silence / 3},
	} {
		p := behind(t)
		c := dial(t, p.Addr())
		p.Set(f, wire.ToClient)
		begin := time.Now()
		send(t, c, "0123456789")
		receive(t, c, "0123456789")
		if took := time.Since(begin); took < silence {
			t.Errorf("%s: only %v", name, took)
		}
	}
	p := behind(t)
	c := dial(t, p.Addr())
	p.Set(wire.Fault{Delay: time.Hour}, wire.ToServer)
	send(t, c, "late")
	receiveNothing(t, c)
	p.Heal()
	receive(t, c, "late")
}

func TestRewriteChangesOneDirection(t *testing.T) {
	t.Parallel()
	p := behind(t)
	c := dial(t, p.Addr())
	p.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
		return func(b []byte) []byte { return append([]byte("<"), bytes.ToUpper(b)...) }
	}}, wire.ToClient)
	send(t, c, "abc")
	receive(t, c, "<ABC")
	p.Heal()

	text := strings.Repeat("x", 1000)
	for name, change := range map[string]func(int) func([]byte) []byte{"garbage": wire.Garbage, "flip": wire.Flip(100)} {
		p.Set(wire.Fault{Rewrite: change}, wire.ToServer)
		send(t, c, text)
		b := make([]byte, len(text))
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		changed := 0
		for i := range b {
			if b[i] != 'x' {
				changed++
			}
		}
		if changed == 0 || name == "flip" && changed > 300 {
			t.Errorf("%s: %d of 1000 bytes changed", name, changed)
		}
	}
}

func TestResetAfterSomeBytes(t *testing.T) {
	t.Parallel()
	p := behind(t)
	c := dial(t, p.Addr())
	p.Set(wire.Fault{ResetAfter: 4}, wire.ToClient)
	send(t, c, "01")
	receive(t, c, "01")
	send(t, c, "23456")
	c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if !errors.Is(err, syscall.ECONNRESET) || len(b) > 2 {
		t.Errorf("then %q, %v; want at most two bytes and a reset", b, err)
	}
	await(t, "no connection is open", func() bool { return p.Open() == 0 })
}

func TestCutResetsAll(t *testing.T) {
	t.Parallel()
	p := behind(t)
	c := dial(t, p.Addr())
	send(t, c, "a")
	receive(t, c, "a")
	p.Cut()
	if err := ended(t, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("ended with %v, want a reset", err)
	}
	fresh := dial(t, p.Addr())
	send(t, fresh, "b")
	receive(t, fresh, "b")
}

func TestHalfOpenBothWays(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 10)
	s, err := wire.Listen(func(c net.Conn) { echo(c); gone <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.New(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer p.Close()

	c := dial(t, p.Addr())
	send(t, c, "a")
	receive(t, c, "a")
	p.CloseServers()
	<-gone
	for range 3 {
		send(t, c, "lost")
		receiveNothing(t, c)
	}
	if p.Open() != 1 {
		t.Errorf("open %d, want 1", p.Open())
	}

	c = dial(t, p.Addr())
	send(t, c, "a")
	receive(t, c, "a")
	p.CloseClients()
	ended(t, c)
	select {
	case <-gone:
		t.Error("the server was told")
	case <-time.After(silence):
	}
	p.Cut()
	<-gone
}

func TestRefuseAndAcceptAtTheSamePort(t *testing.T) {
	t.Parallel()
	p := behind(t)
	c := dial(t, p.Addr())
	send(t, c, "a")
	receive(t, c, "a")
	for range 3 {
		p.Refuse()
		if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v, want refused", err)
		}
		send(t, c, "b")
		receive(t, c, "b")
		if err := p.Heal(); err != nil {
			t.Fatal(err)
		}
		dial(t, p.Addr())
	}
}

func TestATargetMayBeReplacedOrMissing(t *testing.T) {
	t.Parallel()
	p := behind(t)
	other, err := wire.Listen(func(c net.Conn) { io.WriteString(c, "other") })
	if err != nil {
		t.Fatal(err)
	}
	p.SetTarget(other.Addr())
	receive(t, dial(t, p.Addr()), "other")
	other.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return // reset as soon as it was there
	}
	defer c.Close()
	if err := ended(t, c); err == nil {
		t.Error("a connection to a server that is not there ended in peace")
	}
}

func TestAProxyTakesTheAddressOfAnother(t *testing.T) {
	t.Parallel()
	p := behind(t)
	if _, err := wire.NewAt(p.Addr(), "127.0.0.1:1"); err == nil {
		t.Fatal("two proxies at one address")
	}
	p.Close()
	s, err := wire.Listen(echo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	moved, err := wire.NewAt(p.Addr(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer moved.Close()
	c := dial(t, p.Addr())
	send(t, c, "a")
	receive(t, c, "a")
}

func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]wire.Fault{
		"hang": {Hang: true}, "black hole": {Blackhole: true}, "delay": {Delay: time.Hour}, "drip": {Drip: 1, Every: time.Hour},
	} {
		p := behind(t)
		p.Set(f)
		c := dial(t, p.Addr())
		send(t, c, "abc")
		await(t, name, func() bool { return p.Accepted() == 1 })
		for range 2 {
			if err := p.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		ended(t, c)
		if err := p.Accept(); err == nil {
			t.Errorf("%s: a closed proxy accepts", name)
		}
	}
}
