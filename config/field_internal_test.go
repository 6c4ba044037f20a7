package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/tier"
)

// Every field of tier.Options is set by the file or by code: a new one must not be forgotten here.
func TestEveryOptionOfACacheCanBeSet(t *testing.T) {
	t.Parallel()
	byCode := []string{"Policy"}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Hooks[int, int]]()) {
		byCode = append(byCode, f.Name)
	}
	var names []string
	for _, n := range fieldNames(cacheFields) {
		names = append(names, strings.ReplaceAll(n, "_", ""))
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[tier.Options[int, int]]()) {
		if !slices.Contains(byCode, f.Name) && !slices.Contains(names, strings.ToLower(f.Name)) {
			t.Errorf("tier.Options.%s is no field of a file and no hook", f.Name)
		}
	}
}

// The value of each field arrives in tier.Options.
func TestEveryFieldReachesTheCache(t *testing.T) {
	t.Parallel()
	values := map[string]struct{ written, want string }{
		"ttl": {"61m", "1h1m0s"}, "local_ttl": {"62s", "1m2s"}, "soft_ttl": {"63s", "1m3s"}, "negative_ttl": {"64s", "1m4s"},
		"jitter": {"0.25", "0.25"}, "max_staleness": {"1500ms", "1.5s"}, "load_timeout": {"7s", "7s"}, "fence_wait": {"8ms", "8ms"},
		"lease_ttl": {"9s", "9s"}, "on_contention": {"fail", "fail"},
		"when_unreachable": {"refuse", "refuse"}, "source_settle": {"11s", "11s"}, "stale_sample": {"12", "12"},
		"local_cost": {"3MiB", "3145728"}, "version": {"1.10", "1.10"},
		"remote": {"x://r", ""}, "bus": {"x://b", ""}, "mode": {"write-behind", ""},
		"compression": {"zstd", "zstd from 4096"}, "compression_threshold": {"4KiB", ""}, "encryption": {"ring", "new, old"},
		"max_body": {"2MiB", "2097152"},
		"journal":  {"x://j", ""}, "journal_bound": {"13", "Bound 13"}, "when_full": {"shed", "WhenFull shed"}, "batch_size": {"14", "BatchSize 14"},
		"flush_delay": {"15ms", "Delay 15ms"}, "flush_workers": {"16", "Workers 16"}, "flush_timeout": {"17ms", "FlushTimeout 17ms"},
		"take_over": {"18s", "TakeOver 18s"}, "min_backoff": {"19ms", "MinBackoff 19ms"}, "max_backoff": {"20s", "MaxBackoff 20s"},
		"max_attempts": {"21", "MaxAttempts 21"}, "drain_timeout": {"22s", "DrainTimeout 22s"},
	}
	var yaml strings.Builder
	yaml.WriteString("encryption: {ring: {new: '${NEW}', old: '${OLD}'}}\ncaches:\n  c:\n")
	for _, f := range cacheFields {
		v, ok := values[f.name]
		if !ok {
			t.Fatalf("no value for %s: add one", f.name)
		}
		fmt.Fprintf(&yaml, "    %s: %s\n", f.name, v.written)
	}
	p := &problems{}
	pl := read([]byte(yaml.String()), p).resolve(map[string]string{"NEW": "1", "OLD": "2"}, Drivers{
		Stores: map[string]backend.Opener{"x": nil}, Buses: map[string]BusOpener{"x": nil}, Journals: map[string]JournalOpener{"x": nil},
		Compression: func(algorithm string, threshold int) (codec.Compressor, error) {
			return named(fmt.Sprintf("%s from %d", algorithm, threshold)), nil
		},
		Encryption: func(keys []Key) (codec.Cipher, error) { return named(keys[0].ID + ", " + keys[1].ID), nil },
	}, p)
	if err := p.err(); err != nil {
		t.Fatal(err)
	}
	c := pl.caches["c"]
	store, bus := &backend.Store{}, &invalidation.Bus{}
	set := &Set{plan: pl, views: map[*remote]*backend.Store{c.remote: store}, buses: map[*server]*invalidation.Bus{c.bus: bus}}
	o := tierOptions(set, c, policy.Policy[int, int]{}, nil)
	if o.Remote != store || o.Bus != bus {
		t.Error("remote or bus is another")
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(*o)) {
		for name, v := range values {
			if v.want == "" || strings.ReplaceAll(name, "_", "") != strings.ToLower(f.Name) {
				continue
			}
			if got := fmt.Sprint(reflect.ValueOf(*o).FieldByIndex(f.Index)); got != v.want {
				t.Errorf("%s: %s arrives as %s, want %s", name, v.written, got, v.want)
			}
		}
	}
	writing := reflect.ValueOf(c.writingOptions())
	for _, f := range reflect.VisibleFields(writing.Type()) {
		got := fmt.Sprint(f.Name, " ", writing.FieldByIndex(f.Index))
		arrived := slices.ContainsFunc(slices.Collect(maps.Values(values)), func(v struct{ written, want string }) bool { return v.want == got })
		if !arrived {
			t.Errorf("journal.Options.%s: no field of the file arrives there", got)
		}
	}
}

// named compresses and encrypts by name only.
type named string

func (n named) Compress(_, _ []byte) ([]byte, bool)    { return nil, false }
func (n named) Decompress([]byte) ([]byte, error)      { return nil, nil }
func (n named) Encrypt(_, _, _ []byte) ([]byte, error) { return nil, nil }
func (n named) Decrypt(_, _ []byte) ([]byte, error)    { return nil, nil }

// The defaults of the table are tier's own, which its source says.
func TestDefaultsAreThoseOfTier(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../tier/options.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	units := map[string]string{"Minute": "m", "Second": "s", "Millisecond": "ms"}
	got := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		switch v := spec.Values[0].(type) {
		case *ast.BasicLit:
			got[spec.Names[0].Name] = strings.Trim(v.Value, `"`)
		case *ast.BinaryExpr:
			l, _ := v.X.(*ast.BasicLit)
			if unit, ok := v.Y.(*ast.SelectorExpr); ok && l != nil {
				got[spec.Names[0].Name] = l.Value + units[unit.Sel.Name]
			} else if shift, ok := v.Y.(*ast.BasicLit); ok && v.Op == token.SHL && shift.Value == "20" {
				got[spec.Names[0].Name] = l.Value + "MiB"
			}
		}
		return true
	})
	for name, constant := range map[string]string{
		"ttl": "defaultTTL", "max_staleness": "defaultMaxStaleness", "load_timeout": "defaultLoadTimeout",
		"fence_wait": "defaultFenceWait", "lease_ttl": "defaultLeaseTTL", "source_settle": "defaultSourceSettle", "local_cost": "defaultLocalCost", "version": "defaultVersion",
	} {
		if fieldNamed(cacheFields, name).def != got[constant] {
			t.Errorf("%s: default %q here, %q in tier", name, fieldNamed(cacheFields, name).def, got[constant])
		}
	}
}

// What a field takes, tier takes, and what it refuses as out of bounds, tier refuses: the bounds are written in both.
func TestBoundsAreThoseOfTier(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ field, least, below string }{
		{"ttl", "10ms", "9999us"},
		{"local_ttl", "10ms", "9999us"},
		{"negative_ttl", "10ms", "9999us"},
		{"max_staleness", "500ms", "499ms"},
		{"load_timeout", "1ms", "999us"},
		{"fence_wait", "1ms", "999us"},
		{"lease_ttl", "1s", "999ms"},
		{"source_settle", "10ms", "9999us"},
		{"soft_ttl", "1ns", "-1ns"},
		{"jitter", "0.9", "0.91"},
		{"jitter", "0", "-0.01"},
		{"stale_sample", "10000", "10001"},
		{"stale_sample", "0", "-1"},
		{"local_cost", "64KiB", "65535"},
		{"max_body", "1KiB", "1023"},
		{"max_body", "64MiB", "67108865"},
		{"version", strings.Repeat("v", 64), strings.Repeat("v", 65)},
	} {
		f := fieldNamed(cacheFields, test.field)
		s := base()
		if problem := f.set(&s, test.least); problem != "" {
			t.Errorf("%s: %s %s", test.field, test.least, problem)
		}
		try := func(s settings) error {
			c, err := tier.New("c", tierOptions(&Set{}, &cachePlan{settings: s}, policy.Policy[int, int]{}, nil))
			if err == nil {
				c.Close()
			}
			return err
		}
		if err := try(s); err != nil {
			t.Errorf("%s: %s is taken here, and tier says %v", test.field, test.least, err)
		}
		if problem := f.set(&s, test.below); problem == "" {
			t.Errorf("%s: %s is taken here", test.field, test.below)
		}
		switch test.field { // past the check, to ask tier
		case "jitter":
			fmt.Sscan(test.below, &s.jitter)
		case "stale_sample":
			fmt.Sscan(test.below, &s.staleSample)
		case "local_cost":
			s.localCost = 65535
		case "max_body":
			s.maxBody, _ = parseSize(test.below)
		case "version":
			s.version = test.below
		default:
			d, _ := time.ParseDuration(test.below)
			where := map[string]*time.Duration{
				"ttl": &s.ttl, "local_ttl": &s.localTTL, "negative_ttl": &s.negativeTTL, "max_staleness": &s.maxStaleness,
				"load_timeout": &s.loadTimeout, "fence_wait": &s.fenceWait, "lease_ttl": &s.leaseTTL, "source_settle": &s.sourceSettle, "soft_ttl": &s.softTTL,
			}
			*where[test.field] = d
		}
		if err := try(s); err == nil {
			t.Errorf("%s: %s is refused here, and tier takes it", test.field, test.below)
		}
	}
}

// The defaults and bounds of writing behind are those of package journal.
func TestWritingIsThatOfTheJournal(t *testing.T) {
	t.Parallel()
	var none *journal.Options
	if got := (&cachePlan{settings: base()}).writingOptions(); got.WithDefaults() != none.WithDefaults() {
		t.Errorf("the defaults are %+v here and %+v there", got.WithDefaults(), none.WithDefaults())
	}
	for _, test := range []struct{ field, least, below string }{
		{"journal_bound", "1", "0"},
		{"batch_size", "1", "0"},
		{"batch_size", "10000", "10001"},
		{"flush_workers", "1", "0"},
		{"flush_workers", "256", "257"},
		{"flush_timeout", "1ms", "999us"},
		{"take_over", "1s", "999ms"},
		{"min_backoff", "1ms", "999us"},
		{"max_attempts", "1", "-1"},
		{"flush_delay", "1ns", "-1ns"},
		{"drain_timeout", "1ns", "-1ns"},
		{"max_attempts", off, ""},
		{"flush_delay", off, ""},
		{"drain_timeout", off, ""},
		{"take_over", "1s", ""},
	} {
		f := fieldNamed(cacheFields, test.field)
		c := &cachePlan{settings: base()}
		if problem := f.set(&c.settings, test.least); problem != "" {
			t.Errorf("%s: %s %s", test.field, test.least, problem)
		}
		o := c.writingOptions()
		if err := o.WithDefaults().Validate(); err != nil {
			t.Errorf("%s: %s is taken here, and package journal says %v", test.field, test.least, err)
		}
		if test.below != "" && f.set(&c.settings, test.below) == "" {
			t.Errorf("%s: %s is taken", test.field, test.below)
		}
	}
	c := &cachePlan{settings: base()}
	for _, name := range []string{"max_attempts", "flush_delay", "drain_timeout"} {
		fieldNamed(cacheFields, name).set(&c.settings, off)
	}
	if o := c.writingOptions(); o.MaxAttempts >= 0 || o.Delay >= 0 || o.DrainTimeout >= 0 {
		t.Errorf("what is off arrives as %+v", o)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "7B": 7, "64KiB": 64 << 10, "64Ki": 64 << 10, "64 MiB": 64 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40,
		"64KB": 64_000, "64M": 64_000_000, "2GB": 2_000_000_000, "1T": 1_000_000_000_000, "8388607TiB": 8388607 << 40,
		"8388608TiB": -1, "9223372036854775808": -1, "-1": -1, "1.5GiB": -1, "64mib": -1, "64  MiB": -1, "MiB": -1, "": -1, "1iB": -1, "１": -1,
	} {
		got, ok := parseSize(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %t; want %d", text, got, ok, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"ttl", "local_ttl", "soft_ttl", "remote", "negative_ttl"}
	for name, want := range map[string]string{
		"tll": "ttl", "TTL": "ttl", "tl": "ttl", "remtoe": "remote", "lcoal_tll": "local_ttl", "negativettl": "negative_ttl",
		"x": "", "colour": "", "abc": "", strings.Repeat("ttl", 100): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
