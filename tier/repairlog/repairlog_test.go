package repairlog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/repairlog"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

var _ tier.RepairLog = (*repairlog.Log)(nil)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *repairlog.Log {
	t.Helper()
	l, err := repairlog.Open(path)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func pending(t testing.TB, l *repairlog.Log, want ...string) {
	t.Helper()
	keys, err := l.Pending()
	if err != nil || !slices.Equal(keys, want) {
		t.Fatalf("%q, %v, want %q", keys, err, want)
	}
}

func TestWhatIsAddedAndNotDoneIsPendingAfterARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	pending(t, l)
	for _, k := range []string{"a", "", "b", "a"} {
		must(t, l.Add(k))
	}
	must(t, l.Done("b"))
	must(t, l.Done("c"))
	pending(t, open(t, path), "", "a") // the first was not closed: it was killed
}

func TestARecordThatWasCutShortIsDropped(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	must(t, l.Add("a"))
	must(t, l.Add("bb"))
	whole, err := os.ReadFile(path)
	must(t, err)
	for cut := 1; cut <= 10; cut++ {
		must(t, os.WriteFile(path, whole[:len(whole)-cut], 0o600))
		pending(t, open(t, path), "a")
	}
}

func TestDamageIsTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	must(t, l.Add("a"))
	must(t, l.Add("bb"))
	whole, err := os.ReadFile(path)
	must(t, err)
	for i := range whole[:len(whole)-20] { // also the length of the last but one
		bad := slices.Clone(whole)
		bad[i] ^= 0x40
		must(t, os.WriteFile(path, bad, 0o600))
		keys, err := open(t, path).Pending()
		if _, ok := errors.AsType[*repairlog.CorruptError](err); !ok || !strings.Contains(err.Error(), path) {
			t.Fatalf("byte %d: %q, %v", i, keys, err)
		}
		pending(t, open(t, path), keys...) // it was written anew
	}
}

func TestTheFileDoesNotGrowForEver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	must(t, l.Add("stays"))
	long := strings.Repeat("x", 100<<10)
	for i := range 50 {
		must(t, l.Add(fmt.Sprint(long, i)))
		must(t, l.Done(fmt.Sprint(long, i)))
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() > 2<<20 {
		t.Errorf("%d bytes", info.Size())
	}
	pending(t, open(t, path), "stays")
}

func TestTheNextProcessRepairsWhatTheLastOneLeft(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"whole":   func(string) error { return nil },
		"damaged": func(path string) error { return os.WriteFile(path, []byte("what is this"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			env, source := tiertest.New(t), tiertest.NewSource[int, string]()
			source.Put(1, "old")
			other := tiertest.Node(t, env, "c", &tier.Options[int, string]{Policy: policy.CacheAside(source)})
			if v, err := other.Get(t.Context(), 1); v != "old" {
				t.Fatal(v, err)
			}
			away := backend.New(fault.Wrap(env.Remote, fault.Fail(nil)))
			t.Cleanup(func() { away.Close() })
			first := tiertest.Node(t, env, "c", &tier.Options[int, string]{Remote: away, RepairLog: open(t, path)})
			source.Put(1, "new")
			if err := first.Invalidate(t.Context(), 1); !errors.Is(err, tier.ErrInvalidationPending) {
				t.Fatal(err)
			}
			first.Close() // it could not
			must(t, spoil(path))
			second := tiertest.Node(t, env, "c", &tier.Options[int, string]{
				Policy: policy.CacheAside(source), RepairLog: open(t, path), SourceSettle: 50 * time.Millisecond,
			})
			held := func() bool { // the announcement may be under way when the repair is done
				v, ok, err := other.Peek(t.Context(), 1, tier.SkipLocalRead())
				must(t, err)
				return ok && v == "old"
			}
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.Now().Add(20 * time.Second); second.Stats().Repairs > 0 || held(); <-tick.C {
				if time.Now().After(deadline) {
					t.Fatal("never repaired")
				}
			}
			if v, err := second.Get(t.Context(), 1); v != "new" || err != nil {
				t.Errorf("%q, %v", v, err)
			}
			pending(t, open(t, path))
		})
	}
}
