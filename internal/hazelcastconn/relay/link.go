package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	protocol   = "CP2"
	bufferSize = 64 << 10
	greetSize  = 64 << 10 // bounds an introduction and its answer
)

// pass connects the library with a member, until one of them ends it.
func (r *Relay) pass(library net.Conn, member string) {
	defer r.track(library)()
	library.SetDeadline(time.Now().Add(r.opts.Greet))
	// The introduction is read before anything else happens: a connection that ends without it would leave the library
	// waiting for the answer for ever.
	requests := &reader{from: library, limit: greetSize}
	hello, err := r.introduction(requests)
	if err != nil {
		return // not the library, or one that was shut down
	}
	upstream, err := r.opts.dial(r.ctx, member)
	if err != nil {
		r.failed(member, err)
		return
	}
	defer r.track(upstream)()
	g := &guard{mapName: r.opts.Map, waiting: map[int64]request{}}
	if err := r.greet(library, upstream, hello, g); err != nil {
		r.failed(member, err)
		return
	}
	library.SetDeadline(time.Time{})
	upstream.SetDeadline(time.Time{})
	var up sync.WaitGroup
	up.Go(func() { // ends with the connections; joined below
		defer upstream.Close()
		r.requests(library, upstream, g)
	})
	if err := r.answers(upstream, library, g); err != nil {
		r.failed(member, err)
	}
	library.Close()
	upstream.Close()
	up.Wait()
}

// introduction reads the library's first message, and takes the secret out of it.
func (r *Relay) introduction(from *reader) (*message, error) {
	start := make([]byte, len(protocol))
	if _, err := io.ReadFull(from.from, start); err != nil {
		return nil, err
	}
	m, err := from.read()
	if err != nil {
		return nil, err
	}
	at := bytes.Index(m.raw, []byte(r.secret))
	if string(start) != protocol || m.kind() != kindAuthentication || at < 0 {
		return nil, errors.New("not the library")
	}
	copy(m.raw[at+len("strata-"):], bytes.Repeat([]byte("-"), len(r.secret)-len("strata-")))
	return m, nil
}

// greet passes on the introduction and its answer.
func (r *Relay) greet(library, upstream net.Conn, hello *message, g *guard) error {
	upstream.SetDeadline(time.Now().Add(r.opts.Greet))
	g.request(hello)
	if _, err := upstream.Write(append([]byte(protocol), hello.raw...)); err != nil {
		return err
	}
	answer, err := (&reader{from: upstream, limit: greetSize}).read()
	if err != nil {
		return fmt.Errorf("the introduction was not answered: %w", hidden(err))
	}
	if _, err = g.answer(answer); err != nil {
		return err
	}
	if answer.kind() == kindAuthentication|answerTo {
		a, err := authenticationOf(answer)
		if err != nil {
			return err
		}
		if a.status == accepted && r.opts.OnMember != nil {
			r.opts.OnMember(a.cluster)
		}
	}
	_, err = library.Write(answer.raw)
	return err
}

func (r *Relay) requests(library, upstream net.Conn, g *guard) {
	w := bufio.NewWriterSize(stalling{upstream, r.opts.Stall}, bufferSize)
	from := &reader{from: bufio.NewReaderSize(flushing{library, w}, bufferSize), limit: r.opts.MaxReply}
	for {
		m, err := from.read()
		if err != nil {
			return
		}
		g.request(m)
		if _, err := w.Write(m.raw); err != nil {
			return
		}
	}
}

// answers returns why the member or the relay ended the connection, nil where it was the library.
func (r *Relay) answers(upstream, library net.Conn, g *guard) error {
	w := bufio.NewWriterSize(stalling{library, r.opts.Stall}, bufferSize)
	asked := talking{upstream, r.opts.Silence, g}
	from := &reader{from: bufio.NewReaderSize(flushing{asked, w}, bufferSize), limit: r.opts.MaxReply}
	for {
		m, err := from.read()
		var network net.Error
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, errSilent):
			return err
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
			return fmt.Errorf("the member ended the connection: %w", hidden(err))
		case err != nil:
			return fmt.Errorf("cut off: it sent %w", err)
		}
		members, err := g.answer(m)
		if err == nil {
			err = r.know(members)
		}
		if err != nil {
			return fmt.Errorf("cut off: it sent %w", err)
		}
		if _, err := w.Write(m.raw); err != nil {
			return nil
		}
	}
}

// flushing flushes what was passed on before it waits for more.
type flushing struct {
	net.Conn
	w *bufio.Writer
}

func (f flushing) Read(b []byte) (int, error) {
	if f.w.Flush() != nil {
		return 0, net.ErrClosed // by the other side
	}
	return f.Conn.Read(b)
}

// talking gives up a member that is silent though it was asked something. The library asks by itself when nobody else does.
type talking struct {
	net.Conn
	limit time.Duration
	g     *guard
}

var errSilent = errors.New("cut off: it answered nothing for too long")

func (t talking) Read(b []byte) (int, error) {
	for {
		t.Conn.SetReadDeadline(time.Now().Add(t.limit))
		n, err := t.Conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if t.g.waits() {
			return 0, errSilent
		}
	}
}

// stalling gives up a reader at the other end that reads nothing.
type stalling struct {
	net.Conn
	limit time.Duration
}

func (s stalling) Write(b []byte) (int, error) {
	s.Conn.SetWriteDeadline(time.Now().Add(s.limit))
	return s.Conn.Write(b)
}

// dial connects with a member. Its errors are no context's.
func (o *Options) dial(ctx context.Context, member string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Dial)
	defer cancel()
	plain, err := (&net.Dialer{}).DialContext(ctx, "tcp", member)
	if err != nil || o.TLS == nil {
		return plain, hidden(err)
	}
	config := o.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(member)
	}
	secure := tls.Client(plain, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, fmt.Errorf("TLS: %w", hidden(err))
	}
	return secure, nil
}

// hidden is an error that a caller whose own context is alive cannot take for that context's.
func hidden(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New(err.Error())
	}
	return err
}
