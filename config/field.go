package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/tier"
)

// none is the name of no remote and no bus.
const none = "none"

// off turns a feature off where a value could stand.
const off = "off"

// settings are the fields of one cache, understood.
type settings struct {
	remote, bus  string // a name, a URL, or none
	journal      string // likewise
	mode         string
	ttl          time.Duration
	localTTL     time.Duration // 0: as ttl
	softTTL      time.Duration // 0: off
	negativeTTL  time.Duration // 0: off
	jitter       float64
	maxStaleness time.Duration
	loadTimeout  time.Duration
	fenceWait    time.Duration
	leaseTTL     time.Duration
	contention   tier.Contention
	unreachable  tier.Unreachable
	sourceSettle time.Duration
	staleSample  int
	localCost    int64 // -1: off
	version      string
	compression  string // "": off
	threshold    int64  // of compression
	encryption   string // name of a key ring; "": off
	maxBody      int64
	writing      journal.Options // 0 where a field is off; FlushTimeout also where it is not there
}

// remoteSettings are the fields of one remote, understood.
type remoteSettings struct {
	url        string
	membership string // name of a bus; "": none
	prefix     string // "": none
	timeout    time.Duration
}

// A field is one field of a section that S holds. The schema is made from it, and docs/configuration.md has a row for each, which
// a test compares with these tables.
type field[S any] struct {
	name    string
	typ     string
	def     string // as it would be written
	meaning string // in Markdown
	// set understands a value and puts it into s, or returns what is wrong with it.
	set func(s *S, text string) (problem string)
}

const (
	typeURL       = "name or URL"
	typeURLOnly   = "URL"
	typeMode      = "mode"
	typeDuration  = "duration"
	typeSize      = "size"
	typeNumber    = "number"
	typeCount     = "count"
	typeText      = "text"
	typeName      = "name"
	typeKey       = "key"
	typeAlgorithm = "algorithm"
	typeAnswer    = "wait or fail"
	typeUnreached = "commit or refuse"
	typeFull      = "block, fail or shed"
	sameAsTTL     = "as ttl"
	upToTenSec    = "10s or less"
	required      = "–"
)

// derived are defaults that are no value of the field.
var derived = []string{sameAsTTL, upToTenSec, required}

// cacheFields are the fields of a cache, and of the defaults.
var cacheFields = slices.Concat(keepingFields, writingFields)

// keepingFields say what a cache keeps, where, and how long.
var keepingFields = []field[settings]{
	{
		"remote", typeURL, none,
		"the remote tier: a name under `remotes`, a URL, or `none`",
		func(s *settings, v string) string { s.remote = v; return "" },
	},
	{
		"bus", typeURL, none,
		"the bus: a name under `buses`, a URL, or `none`. Without one, beside a remote, a local value lives at most `max_staleness`",
		func(s *settings, v string) string { s.bus = v; return "" },
	},
	{
		"mode", typeMode, "cache-aside",
		"how the cache relates to the program's source. `cache-aside`: it reads through the source; the application writes the source itself and calls `Invalidate`. `write-through`: `Set` and `Delete` write the source, which has to be a `policy.Source`. `write-behind`: they write the `journal`, and the source gets it behind, in batches",
		setMode,
	},
	{
		"ttl", typeDuration, "10m",
		"how long a value may be served after it was loaded or set; at least 10ms",
		duration(func(s *settings) *time.Duration { return &s.ttl }, 10*time.Millisecond, false),
	},
	{
		"local_ttl", typeDuration, sameAsTTL,
		"how long a process serves a value without looking at the remote tier; at least 10ms, at most `ttl`",
		duration(func(s *settings) *time.Duration { return &s.localTTL }, 10*time.Millisecond, false),
	},
	{
		"soft_ttl", typeDuration, off,
		"when a value becomes stale: served, while it is loaded anew behind; shorter than `ttl`, or `off`",
		duration(func(s *settings) *time.Duration { return &s.softTTL }, 1, true),
	},
	{
		"negative_ttl", typeDuration, off,
		"how long the source's answer \"not found\" is kept; at least 10ms, or `off`",
		duration(func(s *settings) *time.Duration { return &s.negativeTTL }, 10*time.Millisecond, true),
	},
	{
		"jitter", typeNumber, "0",
		"shortens each `ttl` and `soft_ttl` by a random share of up to this much, so that values do not expire together; from 0 to 0.9",
		setJitter,
	},
	{
		"max_staleness", typeDuration, "3s",
		"how old a value any node may serve after a write elsewhere has returned; at least 500ms",
		duration(func(s *settings) *time.Duration { return &s.maxStaleness }, 500*time.Millisecond, false),
	},
	{
		"load_timeout", typeDuration, "30s",
		"bounds one load: reading the remote tier, the source, and storing the result; at least 1ms",
		duration(func(s *settings) *time.Duration { return &s.loadTimeout }, time.Millisecond, false),
	},
	{
		"fence_wait", typeDuration, "50ms",
		"how long a reader waits at a key that somebody is writing, before it reads the source; at least 1ms",
		duration(func(s *settings) *time.Duration { return &s.fenceWait }, time.Millisecond, false),
	},
	{
		"lease_ttl", typeDuration, "5s",
		"how long a key that a program was loading stays reserved when that program dies; at least 1s",
		duration(func(s *settings) *time.Duration { return &s.leaseTTL }, time.Second, false),
	},
	{
		"on_contention", typeAnswer, "wait",
		"what a read of one key does while somebody else loads it: `wait` for the value, or `fail` at once with `ErrColdCache`",
		setContention,
	},
	{
		"when_unreachable", typeUnreached, "commit",
		"what a write of the source does if other nodes cannot be kept from using old values before it: `commit` all the same and repair the keys behind, or `refuse`",
		setUnreachable,
	},
	{
		"source_settle", typeDuration, "5s",
		"how long a write of the source whose outcome is unknown may still take effect; at least 10ms",
		duration(func(s *settings) *time.Duration { return &s.sourceSettle }, 10*time.Millisecond, false),
	},
	{
		"stale_sample", typeCount, "0",
		"how many local values a second are compared with the remote tier, to know how stale they are; at most 10000, 0 for none",
		count(func(s *settings) *int { return &s.staleSample }, 0, 10_000, ""),
	},
	{
		"local_cost", typeSize, "64MiB",
		"how much the local tier may hold; at least 64KiB; `off` for no local tier, which needs a `remote`",
		size(func(s *settings) *int64 { return &s.localCost }, 64<<10, math.MaxInt64, true),
	},
	{
		"version", typeText, "1",
		"part of every remote key: another version is another, empty cache",
		setVersion,
	},
	{
		"compression", typeAlgorithm, off,
		"how values are compressed at the remote tier: `s2` (fast), `zstd` (small), or `off`. Nodes with either read both; to one with `off` what is compressed is a miss",
		setCompression,
	},
	{
		"compression_threshold", typeSize, "1KiB",
		"the size of an encoded value from which it is compressed; at least 16B",
		size(func(s *settings) *int64 { return &s.threshold }, 16, codec.MaxBody, false),
	},
	{
		"encryption", typeName, off,
		"the key ring under `encryption` with which the remote tier's values are encrypted, or `off`. Values that were not are misses then",
		nameOr(off, func(s *settings) *string { return &s.encryption }),
	},
	{
		"max_body", typeSize, "64MiB",
		"the largest value that the remote tier is given, and that is read there, encoded, compressed and encrypted; at least 1KiB, at most 64MiB. A larger one cannot be set, and is not kept when it was loaded",
		size(func(s *settings) *int64 { return &s.maxBody }, 1<<10, codec.MaxBody, false),
	},
}

// remoteFields are the fields of a remote. One that is a URL and nothing else may be written as that.
var remoteFields = []field[remoteSettings]{
	{
		"url", typeURLOnly, required,
		"where the servers are",
		func(s *remoteSettings, v string) string { s.url = v; return "" },
	},
	{
		"membership", typeName, none,
		"the bus under `buses` that keeps the list of a Memcached pool's servers, so that it can change while programs run; the servers in the `url` are those of a new pool only. Programs that share a pool give its remote the same name. Or `none`",
		nameOr(none, func(s *remoteSettings) *string { return &s.membership }),
	},
	{
		"prefix", typeText, none,
		"a key space of its own on the servers, such as a tenant's; or `none`",
		nameOr(none, func(s *remoteSettings) *string { return &s.prefix }),
	},
	{
		"timeout", typeDuration, off,
		"bounds each call, below the client's own bound, which the URL may set; at least 1ms, or `off`",
		duration(func(s *remoteSettings) *time.Duration { return &s.timeout }, time.Millisecond, true),
	},
}

func fieldNamed[S any](fields []field[S], name string) *field[S] {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func fieldNames[S any](fields []field[S]) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// duration returns the set of a field that takes least or more, or also off where that may be.
func duration[S any](where func(*S) *time.Duration, least time.Duration, mayBeOff bool) func(*S, string) string {
	return func(s *S, v string) string {
		if mayBeOff && (v == off || v == "0") {
			*where(s) = 0
			return ""
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			hint := "a number and its unit, like 250ms, 30s, 10m or 1h30m"
			if mayBeOff {
				hint += "; or off"
			}
			return "is not a duration: " + hint
		}
		if d < least {
			if mayBeOff {
				return fmt.Sprintf("is too short: at least %v, or off", least)
			}
			return fmt.Sprintf("is too short: at least %v", least)
		}
		*where(s) = d
		return ""
	}
}

const maxJitter = 0.9

func setJitter(s *settings, v string) string {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(n) {
		return "is not a number: a share from 0 to 0.9"
	}
	if n < 0 || n > maxJitter {
		return "is out of bounds: a share from 0 to 0.9"
	}
	s.jitter = n
	return ""
}

// compressions are the algorithms that a cache may name.
var compressions = []string{"s2", "zstd"}

func setCompression(s *settings, v string) string {
	if v == off {
		s.compression = ""
		return ""
	}
	if !slices.Contains(compressions, v) {
		return "is an unknown algorithm; known: " + strings.Join(compressions, ", ") + "; or off"
	}
	s.compression = v
	return ""
}

// nameOr returns the set of a field that takes a name, or the word for none, which it stores as "".
func nameOr[S any](word string, where func(*S) *string) func(*S, string) string {
	return func(s *S, v string) string {
		if v == word {
			*where(s) = ""
			return ""
		}
		if !nameForm.MatchString(v) {
			return "is not a name: 1 to 64 letters, digits, '.', '_' or '-'; or " + word
		}
		*where(s) = v
		return ""
	}
}

// size returns the set of a field that takes from least to most bytes, or also off, which it stores as -1, where that may be.
func size(where func(*settings) *int64, least, most int64, mayBeOff bool) func(*settings, string) string {
	orOff := map[bool]string{true: "or off"}[mayBeOff]
	return func(s *settings, v string) string {
		if mayBeOff && v == off {
			*where(s) = -1
			return ""
		}
		n, ok := parseSize(v)
		if !ok {
			return strings.TrimSuffix("is not a size: a whole number and its unit, like 512KiB, 64MiB or 2GiB; "+orOff, "; ")
		}
		if n < least {
			return strings.TrimSuffix("is too small: at least "+showSize(least)+", "+orOff, ", ")
		}
		if n > most {
			return "is too large: at most " + showSize(most)
		}
		*where(s) = n
		return ""
	}
}

// showSize writes a size as it would be written in a file.
func showSize(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

var (
	sizeForm = regexp.MustCompile(`^([0-9]+) ?([KMGT]i?)?B?$`)
	units    = map[string]int64{"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
)

// parseSize reads 64MiB (2^20 each), 64MB (10^6 each), the same without the B, or a number of bytes.
func parseSize(v string) (int64, bool) {
	m := sizeForm.FindStringSubmatch(v)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := units[m[2]]
	if err != nil || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func setVersion(s *settings, v string) string {
	if !nameForm.MatchString(v) {
		return "is not a version: 1 to 64 letters, digits, '.', '_' or '-'"
	}
	s.version = v
	return ""
}
