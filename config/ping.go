package config

import (
	"context"
	"errors"
	"sync"
)

// Ping asks every server of the file, all at once, whether it answers: a remote tier whether it serves, a bus whether what this
// process announces comes back, a journal, if it has a server, whether it is there. It waits until ctx ends, so ctx should have a deadline. What does not answer is [Errors], each
// with its place in the file and the cause.
func (s *Set) Ping(ctx context.Context) error {
	p := &problems{file: s.file}
	var mu sync.Mutex // guards p
	var asked sync.WaitGroup
	ask := func(at *server, ping func(context.Context) error) {
		asked.Go(func() {
			err := ping(ctx)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
				p.add(at.at, "does not answer in time").Err = err
				return
			}
			failed(at.at, "does not answer", err, at.allSecrets(), p)
		})
	}
	for at, store := range s.stores {
		ask(at, store.Ping)
	}
	for at, bus := range s.buses {
		ask(at, bus.Ping)
	}
	for at, j := range s.journals {
		if j, ok := j.(interface{ Ping(context.Context) error }); ok {
			ask(at, j.Ping)
		}
	}
	asked.Wait()
	return p.err()
}
