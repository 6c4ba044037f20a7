package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func parse(t *testing.T, w *world, yaml string, env ...string) *config.Set {
	t.Helper()
	set, err := config.Parse(t.Context(), []byte(yaml), env, w.drivers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		set.Close()
		w.mustBeClosed(t)
	})
	return set
}

func (w *world) logged() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

func expectLog(t *testing.T, w *world, want ...string) {
	t.Helper()
	if got := w.logged(); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEqualURLsShareOneClient(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, `
remotes: {main: "redis://one", same: "redis://one", other: "memory://two"}
buses: {main: "redis://one", same: "redis://one", apart: "redis://three"}
caches:
  a: {remote: main, bus: same}
  b: {remote: "redis://one", bus: "redis://one"}
  c: {remote: "memory://four"}
`)
	expectLog(t, w,
		"open store redis://one", "open store memory://two", "open store memory://four",
		"open bus redis://one", "share redis://one", "open bus redis://three")
	if set.Remote("main") == nil || set.Remote("main") != set.Remote("same") || set.Remote("main") == set.Remote("other") {
		t.Error("remotes of one URL are one Store, and others are not")
	}
	if set.Bus("main") == nil || set.Bus("main") != set.Bus("same") || set.Bus("main") == set.Bus("apart") {
		t.Error("buses of one URL are one Bus, and others are not")
	}
	if set.Remote("none") != nil || set.Bus("nowhere") != nil {
		t.Error("a name that is not in the file is nil")
	}
}

func TestCloseGoesBackwardsAndOnce(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, `
remotes: {one: "redis://one", two: "memory://two"}
buses: {one: "redis://one", two: "memory://two"}
caches: {a: {remote: one, bus: one}, b: {remote: two, bus: two}}
`)
	slow := make(chan struct{})
	loader := policy.LoaderFunc[string, int](func(ctx context.Context, key string) (int, error) {
		close(slow)
		<-ctx.Done()
		w.note("close cache %s", key)
		return 0, ctx.Err()
	})
	a, err := config.Cache(set, "a", config.Source(loader))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		_, err := a.Get(context.WithoutCancel(t.Context()), "a")
		got <- err
	}()
	<-slow
	w.mu.Lock()
	w.log = nil
	w.mu.Unlock()
	var closers sync.WaitGroup
	for range 4 {
		closers.Go(func() {
			if err := set.Close(); err != nil {
				t.Error(err)
			}
			if n := len(w.logged()); n != 5 {
				t.Errorf("Close returned after %d of 5 steps", n)
			}
		})
	}
	closers.Wait()
	if err := <-got; !errors.Is(err, tier.ErrClosed) {
		t.Errorf("a call under way got %v", err)
	}
	expectLog(t, w, "close cache a", "close bus memory://two", "close bus redis://one", "close store memory://two", "close store redis://one")
	if _, err := config.Cache[string, int](set, "b"); !errors.Is(err, config.ErrClosed) {
		t.Errorf("a cache of a closed set: %v", err)
	}
	w.mu.Lock()
	w.log = nil
	w.mu.Unlock()
}

func TestOneFailureClosesWhatWasOpened(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_, err := config.Parse(t.Context(), []byte(`
remotes: {a: "redis://one", b: "memory://two"}
buses: {a: "redis://one", b: "broken://x", c: "memory://y"}
`), nil, w.drivers())
	if !errors.Is(err, errBroken) {
		t.Fatalf("got %v", err)
	}
	expectLog(t, w,
		"open store redis://one", "open store memory://two", "open bus redis://one", "share redis://one", "open bus memory://y",
		"close bus memory://y", "close bus redis://one", "close store memory://two", "close store redis://one")
}

func TestNothingIsOpenedForAFileWithAMistake(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_, err := config.Parse(t.Context(), []byte("remotes: {a: 'redis://one'}\ncaches: {x: {ttl: no}}"), nil, w.drivers())
	if err == nil {
		t.Fatal("accepted")
	}
	expectLog(t, w)
	var e *config.Error
	var all config.Errors
	if !errors.As(err, &e) || e.Path != "caches.x.ttl" || e.Line != 2 || e.Column != 19 || !errors.As(err, &all) || len(all) != 1 {
		t.Errorf("got %#v", e)
	}
}

func TestValuesReachTheServersAndAreEncodedInURLs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ written, env, want string }{
		"as it is":             {"redis://h:1", "", "redis://h:1"},
		"a whole URL":          {"${X}", "redis://u:p@h:1/2?a=b", "redis://u:p@h:1/2?a=b"},
		"a password":           {"redis://u:${X}@h:1", "a/b@c:d?e#f%$é", "redis://u:a%2Fb%40c%3Ad%3Fe%23f%25%24%C3%A9@h:1"},
		"a user":               {"redis://${X}:p@h", "a:b", "redis://a%3Ab:p@h"},
		"a host":               {"redis://u:p@${X}", "h:1", "redis://u:p@h:1"},
		"a parameter":          {"redis://h/?at=@&x=${X}", "a/b", "redis://h/?at=@&x=a/b"},
		"a default":            {"redis://${X:-h:1}", "", "redis://h:1"},
		"a default not needed": {"redis://${X:-h:1}", "g", "redis://g"},
		"a default with @":     {"redis://${X:-a@b}@h", "", "redis://a%40b@h"},
		"an empty variable":    {"redis://h${Y}", "", "redis://h"},
		"an escaped one":       {"redis://h/$${X}$$", "a", "redis://h/${X}$$"},
		"no expansion twice":   {"redis://h/${X}", "${Y}", "redis://h/${Y}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			parse(t, w, "remotes:\n  a: '"+test.written+"'\n", "X="+test.env, "Y=")
			expectLog(t, w, "open store "+test.want)
		})
	}
}

func TestTheEnvironmentOverridesTheFile(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, `
remotes: {main: "redis://${UNSET}"}
buses: {pub-sub: "redis://two"}
defaults: {remote: main, bus: pub-sub, local_cost: off}
caches: {a.b: {version: "1"}, c: {}}
`, "STRATA_REMOTES_MAIN=memory://one", "STRATA_BUSES_PUB_SUB=memory://$${three}", "STRATA_CACHES_A_B_VERSION=7",
		"STRATA_DEFAULTS_VERSION=8", "STRATA_CACHES_C_BUS=none", "STRATA_CACHES=x", "STRATA_OTHER=x",
		"STRATA_CACHES_C_VERSION=8", "STRATA_CACHES_C_VERSION=9")
	expectLog(t, w, "open store memory://one", "open bus memory://$${three}")
	if got := set.Caches(); !slices.Equal(got, []string{"a.b", "c"}) {
		t.Errorf("Caches() = %q", got)
	}
	for name, want := range map[string]string{"a.b": "a.b/7/{k}", "c": "c/9/{k}"} {
		c, err := config.Cache(set, name, config.Source(tiertest.NewSource[string, string]()))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Set(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		var f *fake
		if set.Remote("main").As(&f); !f.has(want) {
			t.Errorf("cache %s has no record at %s", name, want)
		}
	}
}

func (f *fake) has(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.data[key] != nil
}

func TestLoadReadsTheFileAndTheProcessEnvironment(t *testing.T) {
	w := newWorld()
	path := filepath.Join(t.TempDir(), "strata.yaml")
	if err := os.WriteFile(path, []byte("remotes:\n  main: redis://${STRATA_TEST_HOST}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(t.Context(), path, w.drivers())
	if want := "config: " + path + ":2:9: remotes.main: the variable STRATA_TEST_HOST is not set; ${STRATA_TEST_HOST:-…} gives it a default"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	t.Setenv("STRATA_TEST_HOST", "here")
	set, err := config.Load(t.Context(), path, w.drivers())
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	expectLog(t, w, "open store redis://here")
	if _, err := config.Load(t.Context(), path+".not", w.drivers()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestDriversThatReturnNothing(t *testing.T) {
	t.Parallel()
	_, err := config.Parse(t.Context(), []byte("remotes: {a: 'x://'}"), nil, config.Drivers{Stores: map[string]backend.Opener{
		"x": func(context.Context, string) (*backend.Store, error) { return nil, nil },
	}})
	if err == nil || !strings.Contains(err.Error(), "remotes.a: cannot be opened") {
		t.Errorf("got %v", err)
	}
	_, err = config.Parse(t.Context(), []byte("remotes: {a: 'x://'}"), nil, config.Drivers{})
	if err == nil || !strings.Contains(err.Error(), "the program brings no driver") {
		t.Errorf("got %v", err)
	}
}

func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	for _, yaml := range []string{"", "---\n", "# nothing\n", "{}", "caches:\nremotes:\n", "caches: {a: }"} {
		set := parse(t, newWorld(), yaml)
		if set.Remote("") != nil {
			t.Errorf("%q has a remote", yaml)
		}
	}
}

func TestSecretsOfAFailedOpenerDoNotShow(t *testing.T) {
	t.Parallel()
	secret := "p\"w/ü 100%"
	for _, yaml := range []string{`remotes: {a: "x://u:${S}@h"}`, `remotes: {a: "${U}"}`, `remotes: {a: "x://u:p%22w%2F%C3%BC%20100%25@h"}`} {
		for _, form := range []string{secret, "p%22w%2F%C3%BC%20100%25", `p\"w/ü 100%`} {
			_, err := config.Parse(t.Context(), []byte(yaml), []string{"S=" + secret, "U=x://u:p%22w%2F%C3%BC%20100%25@h"}, config.Drivers{
				Stores: map[string]backend.Opener{"x": func(context.Context, string) (*backend.Store, error) {
					return nil, errors.Join(errBroken, errors.New("cannot log in with "+form))
				}},
			})
			if err == nil || strings.Contains(err.Error(), form) || !strings.Contains(err.Error(), "cannot log in") {
				t.Errorf("%s with %s: %v", yaml, form, err)
			}
			if errors.Is(err, errBroken) {
				t.Errorf("the cause is there, and shows %s", form)
			}
		}
	}
}

func TestLoadIsBoundedInSizeAndTime(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"size":      strings.Repeat("# comment\n", 40<<10),
		"flow":      strings.Repeat("[", 100_000),
		"sequences": strings.Repeat("- ", 100_000),
		"keys":      strings.Repeat("? ", 100_000),
		"values":    strings.Repeat("a: ", 80_000),
	} {
		start := time.Now()
		if _, err := config.Parse(t.Context(), []byte(yaml), nil, config.Drivers{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		} else if took > time.Second {
			t.Logf("%s: took %v", name, took)
		}
	}
}

func TestTheExampleInTheDocumentLoads(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "## A full example\n\n```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example")
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(newKey(1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	example = strings.Replace(example, "/run/secrets/customers-2026-05", key, 1)
	w := newWorld()
	set := parse(t, w, example, "REDIS_PASSWORD=p@ss", "BUS_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "CUSTOMERS_KEY="+newKey(2))
	expectLog(t, w, "open store redis://:p%40ss@cache:6379",
		"open bus redis://:p%40ss@cache:6379", "share redis://:p%40ss@cache:6379", "keyring of 2026-11, unsigned false",
		"open store memcached://localhost:11211", "members memcached://localhost:11211, error <nil>",
		"open journal file:///var/lib/shop/orders.journal")
	if got := set.Caches(); !slices.Equal(got, []string{"products", "thumbnails", "orders", "rates", "countries"}) {
		t.Errorf("caches %q", got)
	}
	for _, name := range set.Caches() {
		c, err := config.Cache(set, name, config.Source(tiertest.NewSource[string, string]()))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Set(t.Context(), "k", "v"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"main", "bulk"} {
		var f *fake
		set.Remote(name).As(&f)
		for key, where := range map[string]string{"products/7/{k}": "main", "thumbnails/1/{k}": "bulk", "countries/1/{k}": "main", "rates/1/{k}": "neither"} {
			if f.has(set.Remote(name).Key(key)) != (where == name) {
				t.Errorf("%s: %s at %s: %t", key, where, name, f.has(key))
			}
		}
	}
}
