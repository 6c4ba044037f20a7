package hazelcastconn_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestAWrongClusterNameIsRefusedAtOnceAndNamed(t *testing.T) {
	t.Parallel()
	at := servertest.SharedHazelcast(t).Addr()
	c := open(t, "hazelcast://user:sesame@"+at+"?cluster=nobody&timeout=20s", nil)
	start := time.Now()
	_, err := get(t, c, "k")
	if !errors.Is(err, sentinel.ErrUnavailable) || !hazelcastconn.NotSent(err) {
		t.Errorf("%v", err)
	}
	for _, want := range []string{at, `"nobody"`, "password is wrong"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "sesame") {
		t.Errorf("%q tells the password", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Members of the open-source edition let nobody in who gives a user name: they have no users.
func TestUserNameAndPasswordAreSentAndRefusedByAMemberWithoutUsers(t *testing.T) {
	t.Parallel()
	p := proxy(t)
	sent := record(p)
	c := open(t, strings.Replace(through(t, p.Addr(), "timeout=10s"), "://", "://user:sesame@", 1), nil)
	_, err := get(t, c, "k")
	if !errors.Is(err, sentinel.ErrUnavailable) || !strings.Contains(err.Error(), "password is wrong") || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
	if !bytes.Contains(sent(), []byte("user")) || !bytes.Contains(sent(), []byte("sesame")) {
		t.Error("they were not sent")
	}
}

// record keeps what clients send through p.
func record(p *wire.Proxy) func() []byte {
	var mu sync.Mutex
	var all []byte
	p.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
		return func(piece []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, piece...)
			return piece
		}
	}}, wire.ToServer)
	return func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(all)
	}
}

// exchange gives each message of a member to f, which returns what the client gets in its place.
func exchange(f func(message []byte, kind uint32) []byte) wire.Fault {
	return wire.Fault{Rewrite: func(int) func([]byte) []byte {
		var held, message []byte
		return func(piece []byte) (out []byte) {
			held = append(held, piece...)
			for len(held) >= 6 {
				n := int(binary.LittleEndian.Uint32(held))
				if len(held) < n {
					break
				}
				final := held[5]&0x20 != 0
				message, held = append(message, held[:n]...), held[n:]
				if final {
					out = append(out, f(message, binary.LittleEndian.Uint32(message[6:]))...)
					message = nil
				}
			}
			return out
		}
	}}
}

// failure is an error of a member in the place of an answer.
func failure(answer []byte, code uint32) []byte {
	frame := func(to []byte, flags uint16, content string) []byte {
		to = binary.LittleEndian.AppendUint32(to, uint32(6+len(content)))
		return append(binary.LittleEndian.AppendUint16(to, flags), content...)
	}
	const begin, end, null, final = 1 << 12, 1 << 11, 1 << 10, 1 << 13
	b := frame(nil, 0xc000, "\x00\x00\x00\x00"+string(answer[10:18])+"\x00")
	b = frame(frame(b, begin, ""), begin, "")
	b = frame(b, 0, string(binary.LittleEndian.AppendUint32(nil, code)))
	b = frame(frame(b, 0, "some.Exception"), null, "")
	b = frame(frame(b, begin, ""), end, "") // no stack trace
	return frame(frame(b, end, ""), end|final, "")
}

// The library would send a request again, which the member has obeyed, for as long as its invocation timeout lasts: its own
// default is two minutes.
func TestARequestWhoseAnswerIsLostIsNotSentAgain(t *testing.T) {
	t.Parallel()
	const putIfAbsent = 0x010e01
	for name, tc := range map[string]struct {
		answer func(message []byte) []byte
	}{
		"no answer":                         {func([]byte) []byte { return nil }},
		"the member is going down":          {func(m []byte) []byte { return failure(m, 19) }},
		"another member left":               {func(m []byte) []byte { return failure(m, 31) }},
		"an error that the library repeats": {func(m []byte) []byte { return failure(m, 46) }},
		"an I/O error":                      {func(m []byte) []byte { return failure(m, 29) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proxy(t)
			sent := record(p)
			c := open(t, through(t, p.Addr(), "timeout=1s"), nil)
			works(t, c)
			var lost atomic.Int32
			p.Set(exchange(func(m []byte, kind uint32) []byte {
				if kind != putIfAbsent {
					return m
				}
				lost.Add(1)
				return tc.answer(m)
			}), wire.ToClient)
			value := servertest.Key(t)
			v, err := put(t, c, "key", value)
			if !errors.Is(err, sentinel.ErrUnavailable) || hazelcastconn.NotSent(err) {
				t.Errorf("a call without an answer: %v, %v", v, err)
			}
			if n := lost.Load(); n != 1 {
				t.Errorf("%d answers were lost", n)
			}
			must(t, p.Heal())
			works(t, c)
			if v, err := get(t, c, "key"); err != nil || string(v.([]byte)) != value {
				t.Errorf("it had happened, and there is %v, %v", v, err)
			}
			if n := bytes.Count(sent(), []byte(value)); n != 1 {
				t.Errorf("it was sent %d times", n)
			}
		})
	}
}

func TestAnAddressThatSwallowsEverythingIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	p := proxy(t)
	p.Set(wire.Fault{Blackhole: true})
	c := open(t, through(t, p.Addr()), nil)
	if _, err := get(t, c, "k"); !errors.Is(err, sentinel.ErrUnavailable) || !hazelcastconn.NotSent(err) {
		t.Errorf("%v", err)
	}
	eventually(t, "it was given up and tried again", func() error {
		if n := p.Accepted(); n < 3 {
			return errors.New("too few connections")
		}
		return nil
	})
	must(t, p.Heal())
	start := time.Now()
	works(t, c)
	t.Logf("calls work %v after it answers", time.Since(start).Round(time.Millisecond))
}

func TestAHostNameIsResolvedAnewForEachConnection(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedHazelcast(t)
	first := proxy(t)
	_, port, _ := strings.Cut(first.Addr(), ":")
	second, err := wire.NewAt("127.0.0.2:"+port, srv.Addr())
	if err != nil {
		t.Skipf("this system has one loopback address: %v", err)
	}
	defer second.Close()
	names.Set("member.test", "127.0.0.1")
	c := open(t, through(t, "member.test:"+port), nil)
	works(t, c)
	if second.Accepted() != 0 {
		t.Fatal("the second address was used first")
	}
	names.Set("member.test", "127.0.0.2")
	must(t, first.Close())
	works(t, c)
	if second.Accepted() == 0 {
		t.Error("the new address was not asked for")
	}
}

// What a member sends may be anything. Nothing of it may end the process, which is what the library does with most of this,
// and when the member is honest again the connection is soon.
func TestTheConnectionOutlivesWhateverAMemberSends(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]wire.Fault{
		"garbage":         {Rewrite: wire.Garbage},
		"noughts":         {Rewrite: func(int) func([]byte) []byte { return func(b []byte) []byte { clear(b); return b } }},
		"a flipped bit":   {Rewrite: wire.Flip(200)},
		"a reset":         {ResetAfter: 7},
		"4 GiB":           exchange(func([]byte, uint32) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0, 0xe0} }),
		"half an answer":  exchange(func(m []byte, _ uint32) []byte { return m[:len(m)-1] }),
		"answers twice":   exchange(func(m []byte, _ uint32) []byte { return append(m, m...) }),
		"another's type":  exchange(func(m []byte, _ uint32) []byte { m[7] ^= 2; return m }),
		"no fixed part":   exchange(func([]byte, uint32) []byte { return []byte{6, 0, 0, 0, 0, 0xe0} }),
		"an empty error":  exchange(func(m []byte, _ uint32) []byte { copy(m[6:], "\x00\x00\x00\x00"); return m }),
		"values are rude": exchange(rude),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proxy(t)
			c := open(t, through(t, p.Addr()), nil)
			works(t, c)
			p.Set(fault, wire.ToClient)
			for range 20 {
				v, err := get(t, c, "k")
				var unsuitable *hazelcastconn.UnsuitableError
				if err != nil && !errors.Is(err, sentinel.ErrUnavailable) && !errors.As(err, &unsuitable) && name != "a flipped bit" {
					t.Errorf("%v", err)
				}
				if _, ok := v.([]byte); ok && name != "a flipped bit" {
					t.Errorf("nobody wrote %q", v)
				}
			}
			must(t, p.Heal())
			works(t, c)
		})
	}
}

// rude makes each answer to a Get a value that promises 2 G numbers.
func rude(m []byte, kind uint32) []byte {
	if kind != 0x010201 {
		return m
	}
	head := binary.LittleEndian.Uint32(m)
	m = append(m[:head:head], 22, 0, 0, 0, 0, 0x20)
	m = append(m, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0) // integers
	return append(m, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0)
}

func TestOneAddressThatWorksIsEnough(t *testing.T) {
	t.Parallel()
	p := proxy(t)
	p.Set(wire.Fault{Blackhole: true})
	srv := servertest.SharedHazelcast(t)
	c := open(t, through(t, "127.0.0.1:1,"+p.Addr()+","+srv.Addr()), nil)
	start := time.Now()
	works(t, c)
	if took := time.Since(start); took > patience/3 {
		t.Errorf("it took %v", took)
	}
}

func TestCloseDoesNotWaitForAMemberThatIsSilent(t *testing.T) {
	t.Parallel()
	p := proxy(t)
	for _, before := range []bool{true, false} {
		must(t, p.Heal())
		c, err := hazelcastconn.Open(through(t, p.Addr()), nil)
		must(t, err)
		if before {
			works(t, c)
		}
		p.Set(wire.Fault{Blackhole: true})
		start := time.Now()
		must(t, c.Close())
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("connected %v: it took %v", before, took)
		}
	}
}

func TestHooksHearOfTheClusterOnEachConnection(t *testing.T) {
	t.Parallel()
	p := proxy(t)
	heard := make(chan [2]string, 100)
	c := open(t, through(t, p.Addr()), &hazelcastconn.Options{OnServer: func(server, identity string) { heard <- [2]string{server, identity} }})
	var identity string
	for range 2 {
		works(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		select {
		case h := <-heard:
			if h[0] != c.Server() || len(h[1]) != 32 || identity != "" && identity != h[1] {
				t.Errorf("heard %v after %s", h, identity)
			}
			identity = h[1]
		case <-ctx.Done():
			t.Error("nothing was heard")
		}
		cancel()
		p.Cut()
	}
}
