package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

var capabilityRules = []rule{
	{
		name: "counter",
		text: "Count begins at 0, adds what it is given, and returns the sum; without counters it is ErrUnsupported",
		test: func(t *testing.T, e *env) {
			if !supported(t, e.Features.Counter, counting(t, e)) {
				return
			}
			sum := int64(0)
			for _, delta := range []int64{5, -7, 0, 1 << 40, -(1 << 41), 1} {
				sum += delta
				got, err := e.store.Count(contextOf(t), e.key("a"), delta, long)
				if err != nil || got != sum {
					t.Fatalf("Count %+d: %d, %v, want %d", delta, got, err, sum)
				}
			}
			if got, err := e.store.Prefix("p").Count(contextOf(t), e.key("a"), 1, long); err != nil || got != 1 {
				t.Errorf("Count in another prefix: %d, %v, want 1", got, err)
			}
			for _, k := range []string{" ", "\x00{", strings.Repeat("k", 1000)} {
				if got, err := e.store.Count(contextOf(t), e.key(k), 3, long); err != nil || got != 3 {
					t.Errorf("Count at %q: %d, %v, want 3", short(k), got, err)
				}
			}
			if _, err := e.store.Count(contextOf(t), e.key("a"), 1, 0); err == nil {
				t.Error("Count with a TTL of 0: no error")
			}
		},
	},
	{
		name: "counter TTL",
		text: "a counter lives at least its TTL, which each Count renews",
		test: func(t *testing.T, e *env) {
			if !supported(t, e.Features.Counter, counting(t, e)) {
				return
			}
			ttl := 1500 * time.Millisecond
			var sum int64
			renewed := time.Now() // before the last Count began
			for end := time.Now().Add(2 * ttl); time.Now().Before(end); {
				begin := time.Now()
				got, err := e.store.Count(contextOf(t), e.key("a"), 1, ttl)
				if time.Since(renewed) >= ttl {
					t.Skip("this machine is too slow to count within the TTL")
				}
				if sum++; err != nil || got != sum {
					t.Fatalf("Count: %d, %v, want %d", got, err, sum)
				}
				renewed = begin
				time.Sleep(ttl / 5)
			}
		},
	},
	{
		name: "scan",
		text: "Scan yields every key with the prefix and no other, whatever its bytes; if the backend cannot list keys it is ErrUnsupported",
		test: func(t *testing.T, e *env) {
			err := e.store.Scan(contextOf(t), e.own, func([]string) bool { return true })
			if !supported(t, e.Features.Scanner, err) {
				return
			}
			b, _ := value("b")
			own := shortOwn()
			wanted := map[string]bool{}
			for i := range 120 {
				k := fmt.Sprint(own, "in/", i)
				add(t, e.store, k, b)
				wanted[k] = true
			}
			for _, k := range []string{"", "*", "?x", "[a]", " ", "%", "~", "ä", "{a}b"} {
				add(t, e.store, own+"in/"+k, b)
				wanted[own+"in/"+k] = true
			}
			for _, k := range []string{"in", "ix/a", "IN/a", "i*/a", "other"} {
				add(t, e.store, own+k, b)
			}
			if got := scan(t, e.store, own+"in/"); !maps.Equal(got, wanted) {
				t.Errorf("Scan: %d keys, want %d: %s", len(got), len(wanted), difference(got, wanted))
			}
			if got := scan(t, e.store, own+"i*/"); len(got) != 1 {
				t.Errorf("Scan of a prefix with a star: %d keys, want 1: the star is no wildcard", len(got))
			}
			if got := scan(t, e.store, own+"none"); len(got) != 0 {
				t.Errorf("Scan of nothing: %v", got)
			}
		},
	},
	{
		name: "scan in a prefix",
		text: "Scan of a prefix's view yields the view's keys, named as the view names them",
		test: func(t *testing.T, e *env) {
			if !e.Features.Scanner {
				t.Skip("cannot list keys, which the rule scan tests")
			}
			b, _ := value("b")
			for _, name := range []string{"p ü/{", "q"} {
				view := e.store.Prefix(shortOwn() + name)
				wanted := map[string]bool{"": true, "a": true, "a b": true, "{x}y": true, "ü": true, "%41": true}
				for k := range wanted {
					add(t, view, k, b)
				}
				if got := scan(t, view, ""); !maps.Equal(got, wanted) {
					t.Errorf("Scan of prefix %q: %s", name, difference(got, wanted))
				}
				if got := scan(t, view, "a"); !maps.Equal(got, map[string]bool{"a": true, "a b": true}) {
					t.Errorf("Scan of a in prefix %q: %v", name, got)
				}
			}
		},
	},
	{
		name: "scan ends",
		text: "Scan ends without an error when yield returns false",
		test: func(t *testing.T, e *env) {
			if !e.Features.Scanner {
				t.Skip("cannot list keys, which the rule scan tests")
			}
			b, _ := value("b")
			view := e.store.Prefix(shortOwn())
			for i := range 50 {
				add(t, view, fmt.Sprint(i), b)
			}
			calls := 0
			if err := view.Scan(contextOf(t), "", func([]string) bool { calls++; return false }); err != nil || calls != 1 {
				t.Errorf("Scan: %v after %d calls of yield, want nil after 1", err, calls)
			}
		},
	},
	{
		name: "delete prefix",
		text: "DeletePrefix removes values and leases, spares fences but keeps their writers from storing, and touches no other prefix",
		test: func(t *testing.T, e *env) {
			view := e.store.Prefix(shortOwn())
			n, err := view.DeletePrefix(contextOf(t), "")
			if !supported(t, e.Features.Scanner, err) {
				return
			}
			if n != 0 {
				t.Errorf("DeletePrefix of nothing: %d", n)
			}
			b, _ := value("b")
			names := []string{"", "b c", "ü", "{h}", strings.Repeat("long", 100), "{h}" + strings.Repeat("long", 100)}
			for i := range 300 {
				names = append(names, fmt.Sprint(i))
			}
			for _, name := range names {
				add(t, view, "in/"+name, b)
			}
			add(t, view, "in/lease", made(record.Lease, record.NewToken(), time.Now().Add(long), nil))
			writer := record.NewToken()
			do(t, view, "in/fence", place(writer))
			add(t, view, "out/a", b)
			other := e.store.Prefix(shortOwn())
			add(t, other, "in/a", b)

			// A key too long is found only by what precedes its brace: the view finds all of them, in/ most.
			if _, err = view.DeletePrefix(contextOf(t), "in/"); err != nil {
				t.Fatalf("DeletePrefix: %v", err)
			}
			for _, name := range append(names, "lease") {
				if len(name) < 100 {
					want(t, view, "in/"+name, nil)
				}
			}
			if f := get(t, view, "in/fence"); f == nil || record.Kind(f[1]) != record.Fence {
				t.Errorf("at the fence: %s, want a fence", describe(f))
			}
			refused(t, view, "in/fence", swap(writer, b))
			want(t, view, "out/a", b)
			if n, err = view.DeletePrefix(contextOf(t), ""); err != nil || n < 2 {
				t.Fatalf("DeletePrefix of all: %d, %v, want at least the fence and out/a", n, err)
			}
			for _, name := range names {
				want(t, view, "in/"+name, nil)
			}
			want(t, view, "out/a", nil)
			want(t, other, "in/a", b)
		},
	},
	{
		name: "stale",
		text: "GetStale returns, in the order of the keys, a record that each had at some time, or none; without replicas it is Get",
		test: func(t *testing.T, e *env) {
			b, token := value("b")
			add(t, e.store, e.key("a"), b)
			next, _ := value("next")
			do(t, e.store, e.key("a"), swap(token, next))
			results := e.store.GetStale(contextOf(t), e.key("none"), e.key("a"), e.key("none"))
			if len(results) != 3 {
				t.Fatalf("GetStale of 3 keys: %d results", len(results))
			}
			for i, r := range results {
				had := i == 1 && (bytes.Equal(r.Record, b) || bytes.Equal(r.Record, next))
				if r.Err != nil || r.Record != nil && !had {
					t.Errorf("GetStale, key %d: %s, %v", i, describe(r.Record), r.Err)
				}
			}
		},
	},
	{
		name: "stats",
		text: "Stats tells something of each server, or is ErrUnsupported",
		test: func(t *testing.T, e *env) {
			stats, err := e.store.Stats(contextOf(t))
			if !supported(t, e.Features.Statser, err) {
				return
			}
			if len(stats) == 0 {
				t.Error("Stats of no server")
			}
			for server, s := range stats {
				if len(s) == 0 {
					t.Errorf("Stats of %q are empty", server)
				}
			}
		},
	},
	{
		name: "identity",
		text: "OnServer calls its hook with the server's name and identity, or is ErrUnsupported",
		test: func(t *testing.T, e *env) {
			s := open(t, e.Harness)
			called := make(chan struct{}, 1)
			err := s.OnServer(func(server, identity string) {
				if server == "" || identity == "" {
					t.Errorf("the hook was given server %q, identity %q", server, identity)
				}
				select {
				case called <- struct{}{}:
				default:
				}
			})
			if !supported(t, e.Features.Identifier, err) {
				return
			}
			if err := s.Ping(contextOf(t)); err != nil {
				t.Fatal(err)
			}
			select {
			case <-called:
			case <-time.After(patience):
				t.Error("the hook was not called though the server answered")
			}
		},
	},
	{
		name: "riders",
		text: "WriteWith without riders is a Write, or is ErrUnsupported and writes nothing",
		test: func(t *testing.T, e *env) {
			b, _ := value("b")
			op := driver.Op{Key: e.key("a"), Step: record.Step{Verb: record.Add, Record: b, TTL: long}}
			effects, _, err := e.store.WriteWith(contextOf(t), []driver.Op{op})
			if !supported(t, e.Features.RiderWriter, err) {
				want(t, e.store, e.key("a"), nil)
				return
			}
			if len(effects) != 1 || effects[0].Outcome != driver.Done {
				t.Errorf("WriteWith: %v", effects)
			}
			want(t, e.store, e.key("a"), b)
		},
	},
	{
		name: "native",
		text: "As hands out the native client that is documented, and no other type",
		test: func(t *testing.T, e *env) {
			if e.store.As(nil) {
				t.Error("As(nil) is true")
			}
			type stranger struct{}
			var no *stranger
			if e.store.As(&no) || no != nil {
				t.Error("As of a type that no driver knows is true")
			}
			if e.Native == nil {
				return
			}
			if !e.store.As(e.Native()) || !e.store.Prefix("p").As(e.Native()) {
				t.Error("As of the native client is false")
			}
		},
	},
	{
		name: "name",
		text: "String names the server",
		test: func(t *testing.T, e *env) {
			if e.store.String() == "" {
				t.Error("String is empty")
			}
		},
	},
}

// supported checks that err is ErrUnsupported exactly if the harness does not claim the capability, and reports
// whether it can be tested.
func supported(t *testing.T, claimed bool, err error) bool {
	t.Helper()
	switch {
	case !claimed && !errors.Is(err, backend.ErrUnsupported):
		t.Fatalf("the harness does not claim this capability: error %v, want ErrUnsupported", err)
	case claimed && err != nil:
		t.Fatalf("the harness claims this capability: %v", err)
	}
	return claimed
}

func counting(t *testing.T, e *env) error {
	_, err := e.store.Count(contextOf(t), e.key("first"), 1, long)
	return err
}

// shortOwn returns a prefix that leaves room in a key, so that it is not shortened.
func shortOwn() string { return "s-" + record.NewToken().String()[:12] + "-" }

func scan(t *testing.T, s *backend.Store, prefix string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := s.Scan(contextOf(t), prefix, func(keys []string) bool {
		for _, k := range keys {
			found[k] = true
		}
		return true
	})
	if err != nil {
		t.Fatalf("Scan %q: %v", prefix, err)
	}
	return found
}

func difference(got, wanted map[string]bool) string {
	var d []string
	for k := range got {
		if !wanted[k] {
			d = append(d, fmt.Sprintf("%q too much", k))
		}
	}
	for k := range wanted {
		if !got[k] {
			d = append(d, fmt.Sprintf("%q missing", k))
		}
	}
	slices.Sort(d)
	return strings.Join(d[:min(len(d), 10)], ", ")
}
