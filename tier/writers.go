package tier

import (
	"context"
	"slices"
	"sync"
)

// writers makes the Sets of one process at one key take turns: they would only dirty each other's fences.
type writers struct {
	mu sync.Mutex
	by map[string]*turn // guarded by mu
}

type turn struct {
	held    chan struct{} // one place, taken by whoever's turn it is
	waiting int           // guarded by writers.mu
}

// lock takes the turns of all keys, which it sorts, in one order for everybody. It fails if ctx or life ends first.
func (ws *writers) lock(ctx, life context.Context, keys []string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil && len(keys) > 0 {
		return nil, err
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	var taken []string
	unlock = func() {
		for _, k := range taken {
			ws.release(k, true)
		}
	}
	for _, k := range keys {
		ws.mu.Lock()
		t := ws.by[k]
		if t == nil {
			if ws.by == nil {
				ws.by = make(map[string]*turn)
			}
			t = &turn{held: make(chan struct{}, 1)}
			ws.by[k] = t
		}
		t.waiting++
		ws.mu.Unlock()
		select {
		case t.held <- struct{}{}:
			taken = append(taken, k)
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-life.Done():
			err = ErrClosed
		}
		ws.release(k, false)
		unlock()
		return nil, err
	}
	return unlock, nil
}

func (ws *writers) release(key string, held bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	t := ws.by[key]
	if held {
		<-t.held
	}
	if t.waiting--; t.waiting == 0 {
		delete(ws.by, key)
	}
}
