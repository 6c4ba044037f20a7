package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
)

func TestWhoDoesNotKnowTheSecretReachesNoMember(t *testing.T) {
	t.Parallel()
	srv, _ := member(t, accepted, func(net.Conn, *message) {})
	r := start(t, options(srv.Addr()))
	for _, label := range []string{"", "strata-", "strata-" + strings.Repeat("A", 26)} {
		if m, err := join(t, r, label).read(); err == nil {
			t.Errorf("%q: got %x", label, m.raw)
		}
	}
	if n := srv.Accepted(); n != 0 {
		t.Errorf("the member saw %d connections", n)
	}
}

func TestTheSecretStaysHereAndTheHookRunsBeforeTheConnectionIsUsed(t *testing.T) {
	t.Parallel()
	var told atomic.Value
	srv, hello := member(t, accepted, func(c net.Conn, m *message) { c.Write(frames(getKind|answerTo, m.id(), 0, 13, nothing)) })
	o := options(srv.Addr())
	o.OnMember = func(cluster string) { told.Store(cluster) }
	r := start(t, o)
	l := join(t, r, r.Secret())
	if _, err := l.ask(t, getKind, 3); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(hello.String(), r.Secret()) || !strings.Contains(hello.String(), "strata-") {
		t.Errorf("the member was told the secret: %q", hello)
	}
	if told.Load() != "00000000000000ab0000000000000000" {
		t.Errorf("the hook was told %v", told.Load())
	}
}

func TestMembersThatAreNamedGetARelayOfTheirOwn(t *testing.T) {
	t.Parallel()
	srv, _ := member(t, accepted, func(c net.Conn, _ *message) {
		c.Write(members(memberInfo("10.0.0.1", 5701), memberInfo("::1", 5702)))
		io.Copy(io.Discard, c)
	})
	r := start(t, options(srv.Addr()))
	_, err := join(t, r, r.Secret()).ask(t, getKind, 3)
	must(t, err)
	var named []string
	for _, n := range r.Nodes() {
		named = append(named, n.Member)
		c, err := net.Dial("tcp", n.Relay)
		must(t, err)
		c.Close()
	}
	if got, want := strings.Join(named, " "), srv.Addr()+" 10.0.0.1:5701 [::1]:5702"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAMemberThatDoesNotAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	silent, err := wire.Listen(func(c net.Conn) { io.Copy(io.Discard, c) })
	must(t, err)
	defer silent.Close()
	o := options(silent.Addr())
	o.Greet = 300 * time.Millisecond
	r := start(t, o)
	began := time.Now()
	if m, err := join(t, r, r.Secret()).read(); err == nil {
		t.Errorf("got %x", m.raw)
	}
	if err := r.Failure(began); err == nil || !strings.Contains(err.Error(), "not answered") {
		t.Errorf("the reason: %v", err)
	}
	if err := Probe(t.Context(), o, silent.Addr()); err == nil || !strings.Contains(err.Error(), "not answered") {
		t.Errorf("Probe: %v", err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v", took)
	}
}

func TestAMemberThatIsSilentThoughItWasAskedIsCutOffAndOneThatWasNotAskedIsNot(t *testing.T) {
	t.Parallel()
	var answered atomic.Bool
	srv, _ := member(t, accepted, func(c net.Conn, m *message) {
		c.Write(frames(getKind|answerTo, m.id(), 0, 13, nothing))
		answered.Store(true)
		io.Copy(io.Discard, c)
	})
	o := options(srv.Addr())
	o.Silence = 200 * time.Millisecond
	r := start(t, o)
	l := join(t, r, r.Secret())
	began := time.Now()
	if _, err := l.ask(t, getKind, 1); err != nil || !answered.Load() {
		t.Fatal(err)
	}
	l.SetReadDeadline(time.Now().Add(5 * o.Silence))
	if _, err := l.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection ended, and nobody asked: %v, %v", err, r.Failure(began))
	}
	l.SetReadDeadline(time.Now().Add(patience))
	_, err := l.Write(frames(getKind, 2, 0, 24, text(theMap)))
	must(t, err)
	if _, err := l.read(); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if err := r.Failure(began); !errors.Is(err, errSilent) {
		t.Errorf("the reason: %v", err)
	}
}

func TestWhoEndedAConnectionIsKnown(t *testing.T) {
	t.Parallel()
	srv, _ := member(t, accepted, func(net.Conn, *message) {}) // and it closes
	r := start(t, options(srv.Addr()))
	began := time.Now()
	if _, err := join(t, r, r.Secret()).ask(t, getKind, 1); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if err := r.Failure(began); err == nil || !strings.Contains(err.Error(), srv.Addr()+": the member ended the connection") {
		t.Errorf("the member ended it: %v", err)
	}
	patient, _ := member(t, accepted, func(c net.Conn, _ *message) { io.Copy(io.Discard, c) })
	r = start(t, options(patient.Addr()))
	l := join(t, r, r.Secret())
	_, err := l.read()
	must(t, err)
	l.Close()
	must(t, r.Close())
	if err := r.Failure(began); err != nil {
		t.Errorf("the library ended it: %v", err)
	}
}

func TestProbeEndsWithItsContextAndItsErrorIsNotTheContexts(t *testing.T) {
	t.Parallel()
	silent, err := wire.Listen(func(c net.Conn) { io.Copy(io.Discard, c) })
	must(t, err)
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = Probe(ctx, options(), silent.Addr())
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	open, hello := member(t, accepted, func(net.Conn, *message) {})
	o := options()
	o.Username, o.Password = "user", "sesame"
	must(t, Probe(t.Context(), o, open.Addr()))
	for _, want := range []string{"dev", "user", "sesame"} {
		if !strings.Contains(hello.String(), want) {
			t.Errorf("the introduction lacks %s", want)
		}
	}
	shut, _ := member(t, 1, func(net.Conn, *message) {})
	err := Probe(t.Context(), o, shut.Addr())
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Member != shut.Addr() || refused.Cluster != "dev" || !refused.User || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
	for name, answer := range map[string][]byte{
		"garbage":       bytes.Repeat([]byte("garbage"), 99),
		"another type":  frames(kindError, 1, 0, 13),
		"cut short":     frames(kindAuthentication|answerTo, 1, 0, authLen-1, text("v")),
		"no address":    frames(kindAuthentication|answerTo, 1, 0, authLen),
		"no partitions": frames(kindAuthentication|answerTo, 1, 0, authLen, nothing, text("v")),
	} {
		liar, err := wire.Listen(func(c net.Conn) {
			io.ReadFull(c, make([]byte, 50))
			c.Write(answer)
			io.Copy(io.Discard, c)
		})
		must(t, err)
		if err := Probe(t.Context(), o, liar.Addr()); err == nil || !strings.Contains(err.Error(), liar.Addr()) {
			t.Errorf("%s: %v", name, err)
		}
		liar.Close()
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	srv, _ := member(t, accepted, func(c net.Conn, _ *message) { io.Copy(io.Discard, c) })
	r := start(t, options(srv.Addr()))
	l := join(t, r, r.Secret())
	if _, err := l.read(); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", r.Nodes()[0].Relay)
	must(t, err)
	defer idle.Close()
	must(t, r.Close())
	must(t, r.Close())
	if _, err := l.read(); err == nil {
		t.Error("the connection lives on")
	}
}
