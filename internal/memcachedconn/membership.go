package memcachedconn

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Membership is a register, shared by all nodes, that holds who is in a pool. It must not lose or take back what it
// answered to. Its methods are called concurrently, and return promptly when ctx ends.
type Membership interface {
	// Load returns what is registered now, and the epoch of it: 0 if nothing is. It never returns something older than
	// what was registered when it was called.
	Load(ctx context.Context) (value []byte, epoch uint64, err error)

	// Swap registers value under the next epoch if the epoch still is the given one. After an error it may or may not
	// have done so, and may still.
	Swap(ctx context.Context, value []byte, epoch uint64) (newEpoch uint64, swapped bool, err error)

	// Changed returns a channel that gets a signal when what is registered may have changed. Signals may be lost or
	// fall together. stop ends them.
	Changed() (signal <-chan struct{}, stop func())
}

// A tenancy is a span of changes in which a server owned a key: it is named for the change that began it, and its name
// is part of the keys that are stored on the server. So what is left of an earlier one is never read.
type tenancy struct {
	Epoch uint64 `json:"epoch"`
	ID    string `json:"id"`
}

// A list is who is in a pool, as it is registered. Each change makes one with another ID and a higher epoch.
type list struct {
	tenancy
	Members map[string]tenancy `json:"members"`        // by server, with the change that added it
	Left    map[string]tenancy `json:"left,omitempty"` // servers of the past, with the change that removed it
}

// maxLeft bounds list.Left: with more, the next change empties the pool instead.
const maxLeft = 64

// next returns the list that has exactly servers.
func (l *list) next(servers []string) *list {
	change := tenancy{Epoch: l.Epoch + 1, ID: newID()}
	n := &list{tenancy: change, Members: make(map[string]tenancy), Left: maps.Clone(l.Left)}
	if n.Left == nil {
		n.Left = make(map[string]tenancy)
	}
	for _, server := range servers {
		n.Members[server] = change
		if since, ok := l.Members[server]; ok {
			n.Members[server] = since
		}
		delete(n.Left, server)
	}
	for server := range l.Members {
		if _, stays := n.Members[server]; !stays {
			n.Left[server] = change
		}
	}
	if len(n.Left) > maxLeft {
		return n.anew()
	}
	return n
}

// anew returns l without anything that was stored before.
func (l *list) anew() *list {
	n := &list{tenancy: l.tenancy, Members: make(map[string]tenancy)}
	for server := range l.Members {
		n.Members[server] = l.tenancy
	}
	return n
}

func (l *list) servers() []string { return slices.Sorted(maps.Keys(l.Members)) }

// registered is the register's value.
type registered struct {
	Format int           `json:"format"`
	Lease  time.Duration `json:"lease"`
	List   list          `json:"list"` // its ID is "" while the pool's first one is coming

	// The rest is a change under way, which whoever sees it may finish.
	Next *list    `json:"next,omitempty"`
	Cut  []string `json:"cut,omitempty"`  // servers of List that could not be told: nobody uses them until it is done
	Wait bool     `json:"wait,omitempty"` // nodes may be using another list than List, and must all have given up first
}

// waits is for how long a change waits until nodes that use an older list have given up: a lease, and a tenth for clocks that
// differ.
func (r *registered) waits() time.Duration { return r.Lease + r.Lease/10 }

const format = 1

func decode(value []byte) (*registered, error) {
	var r registered
	err := json.Unmarshal(value, &r)
	switch {
	case err != nil:
		return nil, fmt.Errorf("what is registered is not a list of servers: %w", err)
	case r.Format != format:
		return nil, fmt.Errorf("what is registered has format %d, not %d", r.Format, format)
	case r.Lease < minLease || r.List.ID == "" && r.Next == nil:
		return nil, fmt.Errorf("what is registered is incomplete")
	}
	return &r, nil
}

func (r *registered) encode() []byte {
	r.Format = format
	value, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return value
}
