package memory

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"sync"

	"github.com/strata-cache/strata/backend"
)

func init() { backend.Register("memory", open) }

// named holds the memories that have a name: a process has one of each, as it has one environment. A memory goes when
// the last Store of its name is closed.
var named = names{shared: make(map[string]*share)}

type names struct {
	mu     sync.Mutex
	shared map[string]*share // guarded by mu
}

type share struct {
	data  *data
	users int
}

// open opens memory://[NAME][?max=BYTES].
func open(_ context.Context, rawURL string) (*backend.Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("memory: open: not a URL") // the parser's message would quote it, password and all
	}
	if u.User != nil || u.Port() != "" || (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		return nil, fmt.Errorf("memory: open: a URL is memory://[NAME][?max=BYTES], without user, port and path")
	}
	if err := backend.CheckParameters(u, "max"); err != nil {
		return nil, fmt.Errorf("memory: open: %w", err)
	}
	limit := int64(0)
	if u.Query().Has("max") {
		limit, err = strconv.ParseInt(u.Query().Get("max"), 10, 64)
		if err != nil || limit < MinMaxBytes {
			return nil, fmt.Errorf("memory: open: max=%q: not a number of bytes of at least %d", u.Query().Get("max"), MinMaxBytes)
		}
	}
	if u.Host == "" {
		return New(&Options{MaxBytes: limit}), nil
	}
	return named.open(u.Host, limit)
}

func (n *names) open(name string, limit int64) (*backend.Store, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sh := n.shared[name]
	switch {
	case sh == nil && limit == 0:
		sh = &share{data: newData(DefaultMaxBytes)}
	case sh == nil:
		sh = &share{data: newData(limit)}
	case limit != 0 && limit != sh.data.limit:
		return nil, fmt.Errorf("memory: open: max=%d: memory://%s is open with max=%d", limit, name, sh.data.limit)
	}
	sh.users++
	n.shared[name] = sh
	release := func() { // called once, by Close
		n.mu.Lock()
		defer n.mu.Unlock()
		if sh.users--; sh.users == 0 {
			delete(n.shared, name)
			sh.data.free()
		}
	}
	return backend.New(newStore(sh.data, "memory://"+name, release)), nil
}
