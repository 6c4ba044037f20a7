package memcachedconn

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/sentinel"
)

// ErrChanged says that the pool has other servers than when the Owner was picked, and that nothing was done: pick again.
// Who does not is told that it is unavailable.
var ErrChanged = fmt.Errorf("memcached: %w: the servers of the pool changed", sentinel.ErrUnavailable)

// An Owner is the server that owns some keys, by one list of servers. It is comparable: keys with equal owners can be read
// in one call.
type Owner struct {
	pool   *Pool
	server *Server // nil while nobody knows who is in the pool
	roster *roster
}

// Pick returns the owner of key.
func (p *Pool) Pick(key string) Owner {
	st := p.standing.Load()
	if st.roster == nil {
		return Owner{pool: p}
	}
	server, _ := st.roster.place(key)
	return Owner{p, server, st.roster}
}

// Servers returns all servers, by name. It waits until who is in the pool is known.
func (p *Pool) Servers(ctx context.Context) ([]Owner, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.calls.Done()
	st, err := p.known(ctx, time.Now().Add(p.opts.Timeout))
	if err != nil {
		return nil, err
	}
	owners := make([]Owner, len(st.roster.members))
	for i, m := range st.roster.members {
		owners[i] = Owner{p, m.Server, st.roster}
	}
	return owners, nil
}

// String returns host:port.
func (o Owner) String() string {
	if o.server == nil {
		return o.pool.name()
	}
	return o.server.name
}

// Do runs fn with a connection and ends it when ctx or the time is over. sent is false if surely no whole command of fn
// left this process. Errors of fn that are an answer pass untouched; ctx's error too; any other is ErrChanged, an
// *UnavailableError, a *ReplyError, or sentinel.ErrClosed.
func (o Owner) Do(ctx context.Context, fn func(*Session) error) (sent bool, err error) {
	sent, _, err = o.do(ctx, time.Now().Add(o.pool.opts.Timeout), false, fn)
	return sent, err
}

// Read is Do for an fn that may run twice: it does, on a new connection, if a pooled one turns out to be dead or of an
// earlier incarnation.
func (o Owner) Read(ctx context.Context, fn func(*Session) error) error {
	deadline := time.Now().Add(o.pool.opts.Timeout)
	_, stale, err := o.do(ctx, deadline, false, fn)
	if stale {
		_, _, err = o.do(ctx, deadline, true, fn)
	}
	return err
}

func (o Owner) do(ctx context.Context, deadline time.Time, fresh bool, fn func(*Session) error) (sent, stale bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, false, err
	}
	if err := o.pool.enter(); err != nil {
		return false, false, err
	}
	defer o.pool.calls.Done()
	if _, err := o.pool.known(ctx, deadline); err != nil {
		return false, false, err
	}
	if err := o.current(); err != nil {
		return false, false, err
	}
	return o.server.do(ctx, deadline, fresh, o, fn)
}

// current is nil if the server may be used at this moment.
func (o Owner) current() error {
	if o.pool.keeper == nil {
		return nil
	}
	switch st := o.pool.standing.Load(); {
	case o.roster == nil || st.roster != o.roster:
		return ErrChanged
	case mono.Now() >= st.until:
		return o.pool.unknown(st.err)
	case st.cut[o.server.name]:
		return &UnavailableError{Server: o.server.name, Cause: errCut}
	}
	return nil
}

// known waits until it is known who is in the pool.
func (p *Pool) known(ctx context.Context, deadline time.Time) (*standing, error) {
	st := p.standing.Load()
	for p.keeper != nil && (st.roster == nil || mono.Now() >= st.until) {
		p.keeper.kick()
		if st.err != nil {
			return nil, p.unknown(st.err)
		}
		var err error
		if st, err = p.keeper.await(ctx, deadline, st); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// unknown is the error of a call while it is not known who is in the pool.
func (p *Pool) unknown(err error) error {
	return &UnavailableError{Server: p.name(), Cause: fmt.Errorf("who is in the pool is not known: %w", p.keeper.why(err))}
}

func (p *Pool) name() string { return fmt.Sprintf("pool %q", p.opts.Pool) }
