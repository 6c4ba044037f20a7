package hazelcast_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// A fleet is a cluster whose members tell clients the addresses of proxies before them, as they do behind a terminator of
// TLS. They run with the configuration of docs/hazelcast.md.
type fleet struct {
	members []*server.Server
	network *wire.Network
	cluster string
}

const callTimeout = 500 * time.Millisecond

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{cluster: "strata-" + servertest.Key(t)}
	var ports []int
	var addrs, clients []string
	for range 2 * n {
		port, err := server.FreePort()
		must(t, err)
		ports = append(ports, port)
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", port))
	}
	addrs, clients = addrs[:n], addrs[n:]
	var err error
	f.network, err = wire.Front(callTimeout, clients...)
	must(t, err)
	t.Cleanup(func() { f.network.Close() })
	for i := range n {
		f.members = append(f.members, servertest.Hazelcast(t, &server.HazelcastOptions{
			Port: ports[i], ClientPort: ports[n+i], PublicAddress: f.network.Addrs()[i], Members: addrs,
			Cluster: f.cluster, Import: guidance(t) + "    short:\n      time-to-live-seconds: 5\n",
		}))
	}
	return f
}

// url names all members by the proxies, and a map that the configuration is for.
func (f *fleet) url(parameters ...string) string {
	return f.at(strings.Join(f.network.Addrs(), ","), parameters...)
}

func (f *fleet) at(hosts string, parameters ...string) string {
	parameters = append([]string{"cluster=" + url.QueryEscape(f.cluster), "map=strata-of-the-fleet"}, parameters...)
	return "hazelcast://" + hosts + "?" + strings.Join(parameters, "&")
}

// guidance is the first configuration in docs/hazelcast.md.
func guidance(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/hazelcast.md")
	must(t, err)
	_, after, _ := strings.Cut(string(page), "```yaml\n")
	text, _, ok := strings.Cut(after, "```")
	if !ok || !strings.Contains(text, "time-to-live-seconds: 86400") {
		t.Fatal("docs/hazelcast.md has no configuration of the map")
	}
	return text
}

func (f *fleet) restart(t *testing.T) {
	t.Helper()
	for _, m := range f.members {
		must(t, m.Kill())
	}
	for _, m := range f.members {
		must(t, m.Restart(context.Background()))
	}
}

func opener(rawURL string, o *hazelcast.Options) func(t *testing.T) *backend.Store {
	return func(t *testing.T) *backend.Store {
		t.Helper()
		s, err := hazelcast.Open(t.Context(), rawURL, o)
		must(t, err)
		return s
	}
}

func (f *fleet) depth(t *testing.T) backendtest.Depth {
	return backendtest.Depth{
		Harness: backendtest.Harness{
			Open:     opener(f.url("max_reply=16000000"), &hazelcast.Options{Timeout: callTimeout}),
			Timeout:  callTimeout,
			Native:   native,
			Features: features,
		},
		Topology:  fmt.Sprintf("hazelcast-%d", len(f.members)),
		Servers:   f.network.Addrs(),
		Network:   f.network,
		NamesKeys: true,
		Restarts:  []backendtest.Restart{{Name: "all members", Do: f.restart}},
		Immortal:  servertest.HazelcastLeaks,
	}
}

// Not parallel: it counts what the process allocates.
func TestOneMember(t *testing.T) {
	f := newFleet(t, 1)
	t.Run("depth", func(t *testing.T) {
		backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
			d := f.depth(t)
			d.Lies = lies()
			d.Rejections = f.rejections(t)
			d.Move = f.move(t)
			return d
		})
	})
}

func TestTwoMembers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	t.Run("conformance", func(t *testing.T) {
		backendtest.Run(t, func(t *testing.T) backendtest.Harness {
			return backendtest.Harness{
				Open:     opener(f.url(), &hazelcast.Options{Timeout: patience}),
				Timeout:  patience,
				Native:   native,
				Features: features,
			}
		})
	})
	t.Run("the configuration of the documentation holds", f.guided)
	t.Run("mutual TLS before both members", f.mutualTLS)
	t.Run("depth", func(t *testing.T) { backendtest.RunDepth(t, f.depth) })
}

// move makes a store that knows the member by a name, which then leads to another address.
func (f *fleet) move(t *testing.T) *backendtest.Move {
	const name = "member.test"
	old, member := f.network.Proxies()[0], f.members[0].URL()
	u, err := url.Parse(member)
	must(t, err)
	_, port, err := net.SplitHostPort(old.Addr())
	must(t, err)
	names.Set(name, "127.0.0.1")
	return &backendtest.Move{
		Open: opener(f.at(name+":"+port), &hazelcast.Options{Timeout: callTimeout}),
		Do: func(t *testing.T) {
			moved, err := wire.NewAt("127.0.0.2:"+port, u.Host)
			must(t, err)
			t.Cleanup(func() {
				pprof.SetGoroutineLabels(context.Background()) // what follows is not the suite's
				must(t, moved.Close())
				must(t, old.Heal())
			})
			names.Set(name, "127.0.0.2")
			old.Refuse()
			old.Cut()
		},
	}
}
