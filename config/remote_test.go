package config_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

func TestRemotesOfOneURLShareAClientWhateverTheirPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, `
remotes:
  plain: redis://one
  url: {url: redis://one}
  a: {url: redis://one, prefix: a}
  b: {url: redis://one, prefix: b, timeout: 1h}
  again: {url: redis://one, timeout: 60m, prefix: b}
caches: {c: {remote: redis://one}, d: {remote: a}}
`)
	expectLog(t, w, "open store redis://one")
	if set.Remote("plain") != set.Remote("url") || set.Remote("b") != set.Remote("again") || set.Remote("a") == set.Remote("b") {
		t.Error("remotes that are the same are one Store, and others are not")
	}
	keys := map[string]bool{}
	for _, name := range []string{"plain", "a", "b"} {
		keys[set.Remote(name).Key("k")] = true
	}
	if len(keys) != 3 {
		t.Errorf("a key in three spaces is called %v", keys)
	}
	for _, name := range []string{"c", "d"} {
		c, err := config.Cache[string, string](set, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Set(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	stored(t, set, "plain", "c/1/{k}")
	stored(t, set, "a", "d/1/{k}")
}

// hanging is a server that never answers.
type hanging struct{ *fake }

func (hanging) Get(ctx context.Context, keys []string) []driver.Result {
	<-ctx.Done()
	results := make([]driver.Result, len(keys))
	for i := range results {
		results[i].Err = ctx.Err()
	}
	return results
}

func TestTheTimeoutOfARemoteBoundsItsCalls(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set, err := config.Parse(t.Context(), []byte("remotes: {slow: {url: 'x://', timeout: 10ms}}"), nil, config.Drivers{
		Stores: map[string]backend.Opener{"x": func(context.Context, string) (*backend.Store, error) {
			return backend.New(hanging{&fake{w: w}}), nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := set.Remote("slow").Get(ctx, "k")[0].Err; !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrUnavailable", err)
	}
}

func TestThePoolOfAMembershipOpensAfterItsBusAndClosesBefore(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, `
remotes:
  pool: {url: "memcached://a,b", membership: main}
  same: {url: "memcached://a,b", membership: main}
  fixed: memcached://a,b
  main: redis://one
buses: {main: "redis://one"}
`)
	if set.Remote("pool") == set.Remote("same") || set.Remote("pool") == set.Remote("fixed") {
		t.Error("pools of other memberships are one Store")
	}
	set.Close()
	expectLog(t, w,
		"open store memcached://a,b", "open store redis://one", "open bus redis://one", "share redis://one",
		"open store memcached://a,b", "members memcached://a,b, error <nil>",
		"open store memcached://a,b", "members memcached://a,b, error <nil>",
		"close store memcached://a,b", "close store memcached://a,b", "close bus redis://one", "close store redis://one", "close store memcached://a,b")
}

func TestNodesFindTheMembershipOfAPoolByItsName(t *testing.T) {
	t.Parallel()
	w := newWorld()
	const pool = "buses: {b: 'memory://b'}\nremotes: {pool: {url: 'memcached://%', membership: b}}"
	parse(t, w, strings.Replace(pool, "%", "old", 1))
	other := newWorld()
	other.hub = w.hub // another program on the same bus
	parse(t, other, strings.Replace(pool, "%", "new", 1))
	expectLog(t, other, "open bus memory://b", "open store memcached://new", "members memcached://old, error <nil>")
}

func TestABusThatCannotKeepAMembershipIsAMistake(t *testing.T) {
	t.Parallel()
	w := newWorld()
	drivers := w.drivers()
	drivers.Buses["memory"] = func(context.Context, string, config.Client, *invalidation.Options) (*invalidation.Bus, error) {
		return invalidation.New(struct{ invalidation.Transport }{membus.NewHub().Transport()}, nil), nil
	}
	const file = "buses: {b: 'memory://b', c: 'broken://c'}\nremotes:\n  pool: {url: 'memcached://a', membership: b}\n  other: {url: 'memcached://a', membership: c}"
	_, err := config.Parse(t.Context(), []byte(file), nil, drivers)
	var all config.Errors
	if !errors.As(err, &all) || len(all) != 2 || all[1].Path != "remotes.pool.url" || !errors.Is(all[1], invalidation.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	w.mustBeClosed(t)
}

func TestAProgramThatLacksWhatAFileAsksForSaysSo(t *testing.T) {
	t.Parallel()
	drivers := newWorld().drivers()
	drivers.Pools, drivers.Compression, drivers.Encryption = nil, nil, nil
	const file = `
buses: {b: "memory://b"}
remotes: {pool: {url: "memcached://a", membership: b}}
encryption: {ring: {k: "${K}"}}
defaults: {compression: s2}
caches: {a: {}, b: {}, c: {encryption: ring}}
`
	_, err := config.Parse(t.Context(), []byte(file), []string{"K=" + newKey(1)}, drivers)
	want := `config: 3:52: remotes.pool.membership: the servers of memcached:// are those of the URL: the program brings no driver with a membership
config: 4:14: encryption.ring: the program brings no encryption
config: 5:25: defaults.compression: the program brings no compression`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestFieldsOfARemoteCanBeOverridden(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, "remotes: {main: 'redis://one', pool: {url: 'redis://two', prefix: a}}",
		"STRATA_REMOTES_MAIN_PREFIX=p", "STRATA_REMOTES_POOL=redis://three", "STRATA_REMOTES_POOL_PREFIX=none")
	expectLog(t, w, "open store redis://one", "open store redis://three")
	if set.Remote("pool").Key("k") == set.Remote("main").Key("k") {
		t.Error("the prefix is not that of the environment")
	}
}

func TestURLsAreCheckedWithTheRestOfTheFile(t *testing.T) {
	t.Parallel()
	w := newWorld()
	drivers := w.drivers()
	checked := 0
	drivers.CheckURL = func(url string) error {
		checked++
		if strings.Contains(url, "?") {
			return errors.New("a parameter of " + url)
		}
		return nil
	}
	const file = `
remotes: {good: "redis://one", bad: "redis://u:${SECRET}@one?x"}
buses: {same: "redis://u:${SECRET}@one?x", good: "redis://one"}
caches: {a: {ttl: never}}
`
	_, err := config.Parse(t.Context(), []byte(file), []string{"SECRET=hunter2"}, drivers)
	want := `config: 2:37: remotes.bad: is no URL that can be opened: a parameter of redis://…@one?x
config: 4:19: caches.a.ttl: "never" is not a duration: a number and its unit, like 250ms, 30s, 10m or 1h30m`
	if err == nil || err.Error() != want || checked != 2 {
		t.Errorf("%d checked; got:\n%v\nwant:\n%s", checked, err, want)
	}
	expectLog(t, w)
}
