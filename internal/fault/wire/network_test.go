package wire_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
)

func TestEachFaultOfANetworkStopsAnEchoUntilItIsHealed(t *testing.T) {
	t.Parallel()
	s, err := wire.Listen(echo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n, err := wire.Front(10*time.Second, s.Addr(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, fault := range []string{
		"hang", "black-hole-to", "black-hole-from", "slow-drip", "refused", "reset-in-reply", "cut",
		"half-open-server", "half-open-client",
	} {
		broken, sound := dial(t, n.Addrs()[1]), dial(t, n.Addrs()[0])
		for _, c := range []interface {
			Write([]byte) (int, error)
		}{broken, sound} {
			c.Write([]byte("a"))
		}
		receive(t, broken, "a")
		receive(t, sound, "a")
		if err := n.Play(fault, 1); err != nil {
			t.Fatal(err)
		}
		broken.Write([]byte("bc"))
		broken.SetReadDeadline(time.Now().Add(silence))
		b := make([]byte, 2)
		if k, _ := broken.Read(b); k == 2 {
			t.Errorf("%s: received %q", fault, b)
		}
		send(t, sound, "d")
		receive(t, sound, "d")
		if err := n.Heal(); err != nil {
			t.Fatal(err)
		}
		fresh := dial(t, n.Addrs()[1])
		send(t, fresh, "e")
		receive(t, fresh, "e")
		for _, c := range []interface{ Close() error }{broken, sound, fresh} {
			c.Close()
		}
		await(t, fault+": no connection is open", func() bool { return n.Open() == 0 })
	}
	if err := n.Play("earthquake"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an unknown fault: %v", err)
	}
}

func TestServersMoveToAnotherAddressAndBack(t *testing.T) {
	t.Parallel()
	s, err := wire.Listen(echo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n, err := wire.Front(time.Second, s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	old := n.Addrs()[0]
	moved := strings.Replace(old, "127.0.0.1", "127.0.0.2", 1)
	works := func(addr string) {
		c := dial(t, addr)
		send(t, c, "a")
		receive(t, c, "a")
	}
	works(old)
	back, err := n.MoveTo("127.0.0.2")
	if err != nil {
		t.Skip(err) // no second loopback address
	}
	works(moved)
	if _, err := net.Dial("tcp", old); err == nil {
		t.Error("somebody answers at the old address")
	}
	if err := back(); err != nil {
		t.Fatal(err)
	}
	works(old)
	if _, err := net.Dial("tcp", moved); err == nil {
		t.Error("somebody answers at the other address afterwards")
	}
}
