package coherence_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/strata-cache/strata/integration/coherence"
	"github.com/strata-cache/strata/integration/coherence/node"
)

// long is how long checks take; STRATA_CHECK makes it more, as in STRATA_CHECK=120s, and then all pairs are checked.
func long(t *testing.T) (time.Duration, bool) {
	text := os.Getenv("STRATA_CHECK")
	if text == "" {
		return 12 * time.Second, false
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d, true
}

func TestNothingIsOlderThanTheBoundWhateverGoesWrong(t *testing.T) { // not parallel: it needs the processors
	duration, all := long(t)
	for _, c := range [][2]string{
		{"redis", "redis"}, {"memcached", "redis"}, {"hazelcast", "redis"}, {"hazelcast", "hazelcast"}, {"memcached", "memcached"},
	} {
		backend, bus := c[0], c[1]
		if !all && backend != "redis" {
			continue
		}
		t.Run(backend+"+"+bus, func(t *testing.T) {
			config := coherence.Config{Backend: backend, Bus: bus, Nodes: 4, Duration: duration, Faults: []string{"all"}}
			if !all { // the machine has other tests to run, and the race detector may be on
				config.Faults, config.MaxStaleness = []string{"all", "-failover"}, 500*time.Millisecond
				config.Nodes, config.MinReads, config.Traffic = 3, 1, node.Traffic{Keys: 200, Rate: 600, Readers: 20, Sweep: 4 * time.Second}
			}
			r := check(t, &config)
			t.Log(text(r))
			if !r.Verdict.OK() || len(r.Broken) > 0 || all && !r.OK() {
				t.Error("see above")
			}
			var missing []string
			for _, k := range r.Kinds {
				if k.Count < k.Need {
					missing = append(missing, k.Name)
				}
			}
			// The short form gives each a few seconds, which a busy machine may not have for one or two.
			if all && len(missing) > 0 || len(missing) > len(r.Kinds)/4 {
				t.Errorf("too seldom: %v", missing)
			}
		})
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]coherence.Config{
		"no backend":        {Bus: "redis"},
		"no such bus":       {Backend: "redis", Bus: "mysql"},
		"no nodes":          {Backend: "redis", Nodes: -1},
		"a moment":          {Backend: "redis", Duration: time.Millisecond},
		"a bound too tight": {Backend: "redis", MaxStaleness: time.Millisecond},
	} {
		if c.Nodes == 0 {
			c.Nodes = 2
		}
		if c.Duration == 0 {
			c.Duration = time.Second
		}
		if c.MaxStaleness == 0 {
			c.MaxStaleness = time.Second
		}
		if _, err := coherence.Run(t.Context(), &c); !errors.Is(err, coherence.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
