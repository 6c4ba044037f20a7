package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// errDown is of a source that is down, and has written nothing.
var errDown = errors.Join(tier.ErrUnavailable, policy.ErrNotWritten)

func TestEqualURLsShareOneJournalAndTheClientOfARemote(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, `
remotes: {main: "redis://one"}
journals: {main: "redis://one", same: "redis://one", disk: "file:///x.journal"}
defaults: {mode: write-behind}
caches:
  a: {journal: main}
  b: {journal: "redis://one"}
  c: {journal: "file:///x.journal"}
  d: {journal: "memory://"}
`)
	expectLog(t, w, "open store redis://one",
		"open journal redis://one", "share redis://one", "open journal file:///x.journal", "open journal memory://")
	if set.Journal("main") == nil || set.Journal("main") != set.Journal("same") || set.Journal("main") == set.Journal("disk") {
		t.Error("journals of one URL are one Journal, and others are not")
	}
	if got := strings.Join(set.Journals(), " "); got != "disk main same" || set.Journal("nowhere") != nil {
		t.Errorf("journals %q, and %v", got, set.Journal("nowhere"))
	}
}

// Two caches of one journal write behind, and closing the set drains both before the journal goes.
func TestCachesOfOneJournalDrainBeforeItCloses(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, `
remotes: {main: "redis://one"}
buses: {main: "redis://one"}
journals: {disk: "file:///x.journal"}
defaults: {mode: write-behind, journal: disk, remote: main, bus: main, min_backoff: 1ms, max_backoff: 2ms}
caches: {a: {}, b: {}}
`)
	sources := map[string]*tiertest.Source[int, string]{}
	for _, name := range set.Caches() {
		sources[name] = tiertest.NewSource[int, string]()
		sources[name].Refuse(errDown)
		c, err := config.Cache(set, name, config.Source(sources[name]))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Set(t.Context(), 1, name); err != nil {
			t.Fatal(err)
		}
		if s, err := c.Backlog(t.Context()); err != nil || s.Depth != 1 || len(sources[name].Values()) != 0 {
			t.Errorf("%s: %d pending, %v; the source has %v", name, s.Depth, err, sources[name].Values())
		}
	}
	for _, source := range sources {
		source.Refuse(nil)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	for name, source := range sources {
		if source.Values()[1] != name {
			t.Errorf("%s: the source has %v", name, source.Values())
		}
	}
	log := strings.Join(w.logged(), "; ")
	if !strings.HasSuffix(log, "close journal file:///x.journal; close bus redis://one; close store redis://one") {
		t.Errorf("closed in another order: %s", log)
	}
}

// What was not drained is what closing the set returns.
func TestCloseTellsWhatWasNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, "caches: {a: {mode: write-behind, journal: 'memory://', drain_timeout: off}}")
	source := tiertest.NewSource[int, string]()
	source.Refuse(errDown)
	a, err := config.Cache(set, "a", config.Source(source))
	if err != nil || a.Set(t.Context(), 1, "one") != nil {
		t.Fatal(err)
	}
	var left *tier.UndrainedError
	if err := set.Close(); !errors.As(err, &left) || left.Pending != 1 || left.Cache != "a" {
		t.Errorf("closed with %v", err)
	}
}

func TestASourceThatCannotStoreCannotWriteBehind(t *testing.T) {
	t.Parallel()
	set := parse(t, newWorld(), "caches: {a: {mode: write-behind, journal: 'memory://'}}")
	_, err := config.Cache(set, "a", config.Source(policy.Funcs[int, int]{}.Loader()))
	const want = "mode write-behind: the source policy.loads[int,int] cannot serve it: it is no policy.Source"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	_, err = config.Cache[int, int](set, "a")
	if err == nil || !strings.Contains(err.Error(), "mode write-behind: there is no source: it needs one that loads and stores") {
		t.Errorf("got %v", err)
	}
}
