package memcachedbus

import (
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/invalidationtest"
)

// Internal, as a transport alone is nothing that users get. There is no subscription that could be cut.
func TestConformance(t *testing.T) {
	t.Parallel()
	invalidationtest.Run(t, func(t *testing.T) invalidationtest.Harness {
		srv := servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true})
		change := func(t testing.TB, how func(l *log) *log) {
			tr := dial(t, srv.URL(), Options{})
			defer tr.Close()
			changeLog(t, tr, how)
		}
		return invalidationtest.Harness{
			Transport: func(t testing.TB) invalidation.Transport {
				return dial(t, srv.URL(), Options{Poll: 5 * time.Millisecond})
			},
			Replays: true,
			Forget:  func(t testing.TB) { change(t, func(l *log) *log { return &log{of: l.of, head: l.head} }) },
			Lose:    func(t testing.TB) { change(t, nil) },
			Restart: func(t testing.TB) { servertest.Require(t, srv.Restart(t.Context())) },
			Stop:    func(t testing.TB) { servertest.Require(t, srv.Kill()) },
		}
	})
}

// dial opens a transport, which its caller closes. A machine that is busy with other tests is no failure: requests have more
// time than by default, if the URL does not say otherwise.
func dial(t testing.TB, url string, o Options) *transport {
	t.Helper()
	if !strings.Contains(url, "timeout=") {
		url += "?timeout=5s"
	}
	pool, err := memcachedconn.Open(url, nil)
	servertest.Require(t, err)
	opts, err := o.resolve()
	servertest.Require(t, err)
	return newTransport(pool, true, &opts)
}

// changeLog changes the log behind everybody's back; nil takes its item out, as an eviction does.
func changeLog(t testing.TB, tr *transport, how func(l *log) *log) {
	t.Helper()
	err := tr.owner.Read(t.Context(), func(s *memcachedconn.Session) error {
		for {
			f, err := tr.read(s)
			switch {
			case err != nil:
				return err
			case how == nil:
				return s.Client().Delete(s.Key(tr.names.log))
			}
			if err := tr.write(s, f, how(f.log)); err != errRaced {
				return err
			}
		}
	})
	servertest.Require(t, err)
}
