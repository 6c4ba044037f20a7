package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// freePorts draws n different free ports.
func freePorts(n int) ([]int, error) {
	var ports []int
	for len(ports) < n {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// startAll starts servers that must know each other's ports beforehand, all at once: specs makes them of n drawn ports.
// Should another process take one of the ports meanwhile, all are drawn again.
func startAll(ctx context.Context, n int, specs func(ports []int) []spec) ([]*Server, error) {
	const tries = 5
	var last error
	for range tries {
		ports, err := freePorts(n)
		if err != nil {
			return nil, err
		}
		var servers []*Server
		if servers, last = startTogether(ctx, specs(ports)); last == nil {
			return servers, nil
		}
		if !errors.Is(last, errExited) {
			break
		}
	}
	return nil, last
}

// startTogether starts all, or none.
func startTogether(ctx context.Context, specs []spec) ([]*Server, error) {
	servers, errs := make([]*Server, len(specs)), make([]error, len(specs))
	var starts sync.WaitGroup
	for i, sp := range specs {
		starts.Go(func() { servers[i], errs[i] = start(ctx, sp) }) // joined below
	}
	starts.Wait()
	err := errors.Join(errs...)
	if err != nil {
		return nil, errors.Join(err, closeAll(servers))
	}
	return servers, nil
}

// closeAll closes the servers that are not nil, all at once.
func closeAll(servers []*Server) error {
	errs := make([]error, len(servers))
	var closes sync.WaitGroup
	for i, s := range servers {
		if s != nil {
			closes.Go(func() { errs[i] = s.Close() }) // joined below
		}
	}
	closes.Wait()
	return errors.Join(errs...)
}

// running are those of the servers that run.
func running(servers []*Server) []*Server {
	return slices.DeleteFunc(slices.Clone(servers), func(s *Server) bool { return s.Pid() == 0 })
}

// byAddr is the server with that address, or nil.
func byAddr(servers []*Server, addr string) *Server {
	for _, s := range servers {
		if s.Addr() == addr {
			return s
		}
	}
	return nil
}

func addrs(servers []*Server) []string {
	list := make([]string, 0, len(servers))
	for _, s := range servers {
		list = append(list, s.Addr())
	}
	return list
}

// poll asks until the answer is nil or ctx ends, and then says what the last answer was.
func poll(ctx context.Context, what string, ask func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server: %s: %w (last: %w)", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}
