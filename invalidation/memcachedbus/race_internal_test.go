package memcachedbus

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

// A publisher that is slow between its two requests takes the position after those who were faster, whatever they did.
func TestASlowPublisherComesAfterTheOthers(t *testing.T) {
	t.Parallel()
	for name, frames := range map[string][]string{"small": {"slow"}, "large": {large("s"), "slow"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := servertest.Memcached(t)
			g := newGate(t, srv)
			slow, fast := open(t, onPort(g.Addr()), Options{}), open(t, srv.URL(), Options{})
			at := transporttest.Subscribed(t, slow)
			transporttest.Subscribed(t, fast)
			g.hold()
			result := publishing(slow, frames...)
			<-g.held
			want := []string{"1", large("2"), "3"}
			for _, frame := range want {
				transporttest.Publish(t, fast, frame)
			}
			g.release()
			r := <-result
			if r.err != nil || r.at.N != at.N+uint64(len(want)+len(frames)) {
				t.Fatalf("Publish: %v, %v; want the position after %d others", r.at, r.err, len(want))
			}
			for _, tr := range []*transport{slow, fast} {
				transporttest.WantFrames(t, tr, at, append(want, frames...)...)
			}
		})
	}
}

// A publisher that dies between its two requests, as by kill -9, leaves nothing behind: no hole, and nobody who waits.
func TestAPublisherThatDiesBetweenItsRequestsLeavesNoHole(t *testing.T) {
	t.Parallel()
	srv := servertest.Memcached(t)
	g := newGate(t, srv)
	dying, other := open(t, onPort(g.Addr()), Options{}), open(t, srv.URL(), Options{})
	at := transporttest.Subscribed(t, other)
	for _, frames := range [][]string{{"never"}, {large("n"), large("e")}} {
		g.hold()
		result := publishing(dying, frames...)
		<-g.held
		g.Cut()
		if r := <-result; !errors.Is(r.err, invalidation.ErrUnavailable) {
			t.Errorf("Publish: %v, %v", r.at, r.err)
		}
		g.release()
		transporttest.Publish(t, other, "other")
		at = transporttest.WantFrames(t, other, at, "other")
	}
}

// A request whose publisher has given up may arrive all the same: then the frame is published, or nothing happens.
func TestALatePublishIsOneOrNone(t *testing.T) {
	t.Parallel()
	srv := servertest.Memcached(t)
	for _, others := range []bool{false, true} {
		t.Run(fmt.Sprintf("others=%t", others), func(t *testing.T) {
			name := Options{Name: fmt.Sprint(others)}
			g := newGate(t, srv)
			late, other := open(t, onPort(g.Addr())+"?timeout=300ms", name), open(t, srv.URL(), name)
			transporttest.Subscribed(t, late)
			at := transporttest.Subscribed(t, other)
			g.hold()
			result := publishing(late, "late")
			<-g.held
			if r := <-result; !errors.Is(r.err, invalidation.ErrUnavailable) {
				t.Fatalf("Publish: %v, %v", r.at, r.err)
			}
			want := "late"
			if others {
				want = "other"
				transporttest.Publish(t, other, "other")
			}
			g.release() // the proxy has read the request: the server gets it, though the connection has ended
			at = transporttest.WantFrames(t, other, at, want)
			transporttest.Publish(t, other, "next")
			transporttest.WantFrames(t, other, at, "next")
		})
	}
}

func TestManyPublishersAtOnce(t *testing.T) {
	t.Parallel()
	url, o := shared(t)
	const nodes, each = 10, 20
	var all [nodes]*transport
	var at [nodes]invalidation.Position
	for i := range all {
		all[i] = open(t, url, o)
		at[i] = transporttest.Subscribed(t, all[i])
	}
	began := time.Now()
	var work sync.WaitGroup
	for i, tr := range all {
		work.Go(func() {
			for k := range each {
				if _, err := tr.Publish(t.Context(), [][]byte{fmt.Appendf(nil, "%d of %d", k, i)}); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	work.Wait()
	t.Logf("%d frames by %d publishers in %v", nodes*each, nodes, time.Since(began))
	seen := map[string]bool{}
	for n := range nodes * each {
		d := transporttest.Receive(t, all[0])
		if at[0].N++; d.Position != at[0] || seen[string(d.Frame)] {
			t.Fatalf("%d frames, then %.40q at %v, want a new one at %v", n, d.Frame, d.Position, at[0])
		}
		seen[string(d.Frame)] = true
		for i := 1; i < nodes; i++ {
			if other := transporttest.Receive(t, all[i]); other.Position != d.Position || string(other.Frame) != string(d.Frame) {
				t.Fatalf("node %d has %.40q at %v, node 0 %.40q", i, other.Frame, other.Position, d.Frame)
			}
		}
	}
}
