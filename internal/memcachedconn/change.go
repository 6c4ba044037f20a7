package memcachedconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/urlparam"
)

// errGone says that the register is not as it was when it was read.
var errGone = errors.New("what is registered changed")

// Change makes servers, each host[:port], those of the pool, for all nodes: adding and removing are this one step. Keys
// whose server is another one then begin empty, all others keep their records. It returns when nobody uses the old list
// any more. If a server of the old list cannot be reached that takes a whole Lease, during which its keys are unavailable.
//
// After an error the change may be done, under way or not; once registered it is finished by any node, whatever becomes
// of this one. Changes of several nodes are done one after another. Without a Membership it is sentinel.ErrUnsupported.
func (p *Pool) Change(ctx context.Context, servers []string) error {
	if p.keeper == nil {
		return fmt.Errorf("memcached: change of servers: %w: the pool has no Membership", sentinel.ErrUnsupported)
	}
	names, err := urlparam.Hosts(strings.Join(servers, ","), defaultPort)
	if err != nil {
		return fmt.Errorf("memcached: change of servers: %w", err)
	}
	if err := p.enter(); err != nil {
		return err
	}
	defer p.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	if err = p.keeper.change(ctx, names); err == nil {
		_, err = p.keeper.refresh(ctx)
	}
	switch {
	case err != nil && p.isClosed():
		return sentinel.ErrClosed
	case err != nil && ctx.Err() == nil:
		return p.unknown(err)
	}
	return err
}

func (k *keeper) change(ctx context.Context, names []string) error {
	slices.Sort(names)
	for {
		reg, epoch, err := k.read(ctx)
		switch {
		case err != nil:
			return err
		case reg == nil:
			if err := k.restore(ctx, nil, nil, 0); err != nil && !errors.Is(err, errGone) {
				return err
			}
			continue
		case reg.Next != nil:
			if err := k.finish(ctx, reg.Next.ID); err != nil {
				return err
			}
			continue
		case slices.Equal(names, reg.List.servers()):
			return nil
		}
		reg.Next = reg.List.next(names)
		switch _, err := k.swap(ctx, reg, epoch); {
		case err == nil:
			return k.finish(ctx, reg.Next.ID)
		case !errors.Is(err, errGone):
			return err
		}
	}
}

func (k *keeper) swap(ctx context.Context, reg *registered, epoch uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, k.pool.opts.Timeout)
	defer cancel()
	next, swapped, err := k.members.Swap(ctx, reg.encode(), epoch)
	switch {
	case err != nil:
		return 0, fmt.Errorf("swap the membership: %w", err)
	case !swapped:
		return 0, errGone
	}
	k.kick()
	return next, nil
}

// restore registers a first list: the URL's, or that of a node that knows better than the register, which then lost
// something. All that is stored is given up. Nodes that go on by another list are waited for, unless the pool is new: all
// its servers can be asked, and none has heard of it.
func (k *keeper) restore(ctx context.Context, known *roster, reg *registered, epoch uint64) error {
	next := &list{tenancy: tenancy{Epoch: 1, ID: newID()}, Members: make(map[string]tenancy)}
	for _, name := range k.pool.seeds {
		next.Members[name] = tenancy{}
	}
	wait := true
	if known != nil {
		next.Epoch = known.list.Epoch + 1
		next.Members = known.list.Members
	} else {
		used, unreachable := k.visit(ctx, k.pool.seeds, func(f found) (string, error) {
			if m, err := parseMark(f.value); err != nil || m.open != "" || m.shut != "" {
				return "", errUsed
			}
			return "", nil
		})
		wait = used || len(unreachable) > 0
	}
	if reg == nil {
		reg = &registered{Lease: k.pool.opts.Lease}
	}
	reg.Next, reg.Wait = next.anew(), wait
	if _, err := k.swap(ctx, reg, epoch); err != nil {
		return err
	}
	return k.finish(ctx, reg.Next.ID)
}

// finish ends the change with that ID, which is registered. Any number of nodes may do so at once.
//
//  1. A server of the old list that does not answer is cut: nodes that hear of it leave it alone, and those that do not
//     give up all servers when their lease ends, which is waited for.
//  2. All others are shut: their marks are swapped, so that what nodes send by the old list is refused.
//  3. The new list is registered.
func (k *keeper) finish(ctx context.Context, id string) error {
	waited := "" // for what the lease was waited for
	for {
		reg, epoch, err := k.read(ctx)
		if err != nil {
			return err
		}
		if reg == nil || reg.Next == nil || reg.Next.ID != id {
			return nil // somebody finished it
		}
		cut := func(names []string) error {
			if err := ctx.Err(); err != nil {
				return err // it is this node's fault that they did not answer
			}
			if all := append(reg.List.servers(), reg.Next.servers()...); len(names) == len(rest(reg)) {
				if _, silent := k.visit(ctx, all, nil); len(silent) == len(all) {
					return errAlone
				}
			}
			reg.Cut = append(reg.Cut, names...)
			slices.Sort(reg.Cut)
			_, err := k.swap(ctx, reg, epoch)
			if errors.Is(err, errGone) {
				err = nil
			}
			return err
		}
		if _, silent := k.visit(ctx, rest(reg), nil); len(silent) > 0 {
			if err := cut(silent); err != nil {
				return err
			}
			continue
		}
		if why := fmt.Sprint(reg.Wait, reg.Cut); (reg.Wait || len(reg.Cut) > 0) && why != waited {
			if err := pause(ctx, reg.waits()); err != nil {
				return err
			}
			waited = why
			continue
		}
		_, silent := k.visit(ctx, rest(reg), func(f found) (string, error) {
			m, err := parseMark(f.value)
			if err != nil {
				m = mark{nonce: newNonce()}
			} else if m.shut == id {
				return "", nil
			}
			return mark{nonce: m.nonce, pid: f.pid, shut: id}.String(), nil
		})
		if len(silent) > 0 {
			if err := cut(silent); err != nil {
				return err
			}
			continue
		}
		done := &registered{Lease: reg.Lease, List: *reg.Next}
		if _, err := k.swap(ctx, done, epoch); err == nil || !errors.Is(err, errGone) {
			return err
		}
	}
}

// rest returns the servers of the old list that may be in use.
func rest(reg *registered) []string {
	return slices.DeleteFunc(reg.List.servers(), func(name string) bool { return slices.Contains(reg.Cut, name) })
}

// errAlone keeps a node that can reach nobody from cutting all servers off from the others.
var errAlone = errors.New("no server of the pool, old or new, answers this node")

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errUsed says that a server has heard of the pool.
var errUsed = errors.New("the server knows the pool")

// visit asks all servers at once for their marks, and swaps those for which f, if not nil, returns another one. It returns
// those that did not answer as they should, and whether f found one to be errUsed.
func (k *keeper) visit(ctx context.Context, names []string, f func(found) (next string, err error)) (used bool, silent []string) {
	errs := make([]error, len(names))
	var calls sync.WaitGroup
	for i, name := range names {
		calls.Go(func() { errs[i] = k.visitOne(ctx, name, f) })
	}
	calls.Wait()
	for i, err := range errs {
		switch {
		case errors.Is(err, errUsed):
			used = true
		case err != nil:
			silent = append(silent, names[i])
		}
	}
	return used, silent
}

func (k *keeper) visitOne(ctx context.Context, name string, f func(found) (next string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, k.pool.opts.Timeout)
	defer cancel()
	g, raw, err := k.pool.connect(ctx, name)
	if err != nil {
		return err
	}
	defer raw.Close()
	defer endWith(ctx, raw)()
	for {
		found, err := g.read(mark{nonce: newNonce()}.String())
		if err != nil || f == nil {
			return err
		}
		next, err := f(found)
		if err != nil || next == "" {
			return err
		}
		if swapped, err := g.swap(found, next); swapped || err != nil {
			return err
		}
	}
}
