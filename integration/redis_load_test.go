package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// envLoad lengthens the tests under load: a Go duration for which each goes on, instead of a few seconds.
const envLoad = "STRATA_LOAD"

// patient is for stores whose calls may not fail because the machine is busy. A server that is gone refuses at once.
const patient = "?timeout=5s"

// loadFor is for how long a load runs in each phase of its test.
func loadFor(t testing.TB, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(envLoad)
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// A storeLoad is goroutines that write and read records through stores, until it is stopped.
type storeLoad struct {
	*ledger
	keys   []string
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// startLoad gives each store two writers, of different keys, and two readers of all keys. It is stopped with the test.
func startLoad(t testing.TB, keys []string, stores ...*backend.Store) *storeLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &storeLoad{ledger: newLedger(0), keys: keys, cancel: cancel}
	for i := range 2 * len(stores) {
		var mine []string
		for j := i; j < len(keys); j += 2 * len(stores) {
			mine = append(mine, keys[j])
		}
		// Both end with ctx; joined by stop.
		l.done.Go(func() { l.write(ctx, stores[i%len(stores)], mine) })
		l.done.Go(func() { l.read(ctx, stores[i%len(stores)]) })
	}
	t.Cleanup(l.stop)
	return l
}

func (l *storeLoad) stop() {
	l.cancel()
	l.done.Wait()
}

// write swaps the next version of each key for the last one, over and over.
func (l *storeLoad) write(ctx context.Context, s *backend.Store, keys []string) {
	tokens := map[string]record.Token{} // of the record that is there, as far as this writer knows; zero: nothing
	for ctx.Err() == nil {
		for _, key := range keys {
			v, token := l.send(key), record.NewToken()
			const ttl = time.Hour
			op := driver.Op{Key: key, Step: record.Step{Verb: record.Add, TTL: ttl, Expect: tokens[key]}}
			if !op.Expect.IsZero() {
				op.Verb = record.Swap
			}
			op.Record = record.New(record.Header{Kind: record.Value, Token: token, Expiry: time.Now().Add(ttl)}, []byte(versionText(key, v)))
			began := time.Now()
			switch e := s.Write(ctx, op)[0]; e.Outcome {
			case driver.Done:
				l.ack(key, v)
				tokens[key] = token
			case driver.Refused:
				// An earlier write whose outcome was unknown has happened after all, or a failover lost one.
				l.unsent(key, v)
				l.judgeRecord(key, e.Found, began)
				tokens[key] = record.TokenOf(e.Found)
			case driver.Unsent:
				l.unsent(key, v)
				fallthrough
			default:
				l.pause(ctx, key, e.Err)
			}
		}
	}
}

// read reads one key, and then several in one call.
func (l *storeLoad) read(ctx context.Context, s *backend.Store) {
	for ctx.Err() == nil {
		for _, n := range []int{1, min(16, len(l.keys))} {
			var keys []string
			for _, i := range rand.Perm(len(l.keys))[:n] {
				keys = append(keys, l.keys[i])
			}
			began := time.Now()
			for i, r := range s.Get(ctx, keys...) {
				if r.Err == nil {
					l.judgeRecord(keys[i], r.Record, began)
				} else {
					l.pause(ctx, keys[i], r.Err)
				}
			}
		}
	}
}

// pause notes a failure, and waits a moment: a crowd that only collects errors would leave the servers no processor.
func (l *storeLoad) pause(ctx context.Context, key string, err error) {
	if ctx.Err() != nil {
		return // the end of the load
	}
	l.fail(key, err)
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Millisecond):
	}
}

func (l *storeLoad) judgeRecord(key string, rec []byte, began time.Time) {
	_, body, ok := record.Parse(rec)
	l.judge(key, string(body), ok, began)
}

// loadKeys are n keys of each of the tags, so that each tag is one slot.
func loadKeys(n int, tags ...string) []string {
	var keys []string
	for _, tag := range tags {
		for i := range n {
			keys = append(keys, fmt.Sprintf("load:{%s}:%d", tag, i))
		}
	}
	return keys
}
