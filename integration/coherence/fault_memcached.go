package coherence

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

func (s *site) memcachedFaults() []fault {
	lane := s.role
	list := []fault{{name: "flushall-" + s.role, about: "flush_all", lane: lane, lasts: p1 / 10, play: s.flushMemcached}}
	if s.own {
		list = append(list, fault{name: "evict-" + s.role, about: "the server is filled with other keys until it evicts", lane: lane, lasts: p1, play: s.fillMemcached})
	}
	return list
}

func (s *site) dialMemcached(ctx context.Context) (*bufio.ReadWriter, net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr())
	if err != nil {
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), conn, nil
}

func (s *site) flushMemcached(ctx context.Context, p *playing) error {
	rw, conn, err := s.dialMemcached(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	p.begin("%s", s.addr())
	fmt.Fprint(rw, "flush_all\r\n")
	if err := rw.Flush(); err != nil {
		return err
	}
	line, err := rw.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "OK") {
		err = fmt.Errorf("flush_all: %q", line)
	}
	return err
}

// fillMemcached stores junk of the sizes that records and the keys of the bus have, three times as much as there is room for.
func (s *site) fillMemcached(ctx context.Context, p *playing) error {
	rw, conn, err := s.dialMemcached(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	p.begin("%s", s.addr())
	sizes := []int{20, 60, 100, 150, 220, 300, 1000}
	stored := 0
	for i := 0; stored < 3*memcachedMB<<20 && ctx.Err() == nil; i++ {
		size := sizes[i%len(sizes)]
		stored += size + 50
		fmt.Fprintf(rw, "set junk-%d 0 60 %d noreply\r\n%s\r\n", i, size, strings.Repeat("x", size))
	}
	fmt.Fprint(rw, "version\r\n")
	if err := rw.Flush(); err != nil {
		return err
	}
	_, err = rw.ReadString('\n')
	return err
}
