package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

// checkDemo runs a demo and checks its summary.
func checkDemo(t *testing.T, nodes, processes int, args ...string) {
	t.Helper()
	e := strata(t, "", "", nil, append([]string{"demo", "--json"}, args...)...)
	var s summary
	if err := json.Unmarshal([]byte(e.out), &s); err != nil || e.code != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", e.code, err, e.out, e.err)
	}
	pids := make(map[int]bool)
	for _, pid := range s.Pids {
		pids[pid] = true
	}
	if s.Nodes != nodes || len(pids) != processes {
		t.Errorf("%d nodes in %d processes, want %d in %d", s.Nodes, len(pids), nodes, processes)
	}
	if s.StaleReads != 0 || s.Errors != 0 || s.FailedInvalidations != 0 || s.Invalidations < 3 || s.Reads < 100 || s.SourceLoads == 0 || s.HitRate <= 0 {
		t.Errorf("not what a demo is: %s", e.out)
	}
	if s.Proof == nil || len(s.Proof.Nodes) != nodes || s.Proof.NewVersion <= s.Proof.OldVersion {
		t.Fatalf("the last invalidation: %s", e.out)
	}
	for _, n := range s.Proof.Nodes {
		if n.ServedOld {
			t.Errorf("node %d served the old product after the bound", n.Node)
		}
	}
}

func TestTheDemoNeedsNoServer(t *testing.T) {
	t.Parallel()
	checkDemo(t, 3, 1, "--duration", "1500ms")
	e := strata(t, "", "", nil, "demo", "--duration", "600ms", "--nodes", "2", "--products", "50")
	if e.code != 0 || e.err != "" || !strings.Contains(e.out, "2 nodes in this process") || !strings.Contains(e.out, " 0  stale reads") {
		t.Errorf("%+v", e)
	}
}

func TestAfterAnInvalidationNoProcessServesTheOldProduct(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t).URL() + "?timeout=15s" // a machine that is busy with other tests is no failure
	checkDemo(t, 3, 3, "--backend", url, "--duration", "2s")
	checkDemo(t, 3, 1, "--backend", url, "--duration", "1s", "--processes=false")
	checkDemo(t, 3, 3, "--backend", servertest.Memcached(t).URL()+"?timeout=15s", "--duration", "1s") // which is the bus, too
}

func TestReadsOfOldVersionsAreJudgedByWhenTheyBegan(t *testing.T) {
	t.Parallel()
	changes := []change{{node: 0, id: 1, version: 2, returned: 1000}, {node: 1, id: 1, version: 3, returned: 2000}}
	seen := func(version int64, began ...int64) map[int64][]sighting {
		return map[int64][]sighting{1: {{Version: version, Began: began}}}
	}
	for name, c := range map[string]struct {
		node        int
		seen        map[int64][]sighting
		stale, late int
	}{
		"before the invalidation returned": {1, seen(1, 900, 1000), 0, 0},
		"within the bound":                 {1, seen(1, 1001, 1100), 0, 2},
		"after the bound":                  {2, seen(1, 1101), 1, 0},
		"on the node that changed it":      {0, seen(1, 1001), 1, 0},
		"of the newest":                    {0, seen(3, 9000), 0, 0},
		"of a later one":                   {0, seen(2, 1500, 2050, 2101), 1, 1},
	} {
		if stale, late := judge(c.node, c.seen, changes, 100); stale != c.stale || late != c.late {
			t.Errorf("%s: %d stale and %d late, want %d and %d", name, stale, late, c.stale, c.late)
		}
	}
}
