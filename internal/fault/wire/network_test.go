package wire_test

import (
	"errors"
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
