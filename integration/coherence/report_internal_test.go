package coherence

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
)

func TestARunThatProvesTooLittleFails(t *testing.T) {
	t.Parallel()
	enough := history.Verdict{Reads: 1000, LocalShare: 0.5, WriteShare: 0.02, FreshReads: 3, Verbs: map[string]int{}}
	for _, verb := range node.Verbs() {
		enough.Verbs[verb] = 3
	}
	for name, c := range map[string]struct {
		change func(v *history.Verdict, k *FaultKind)
		want   string
	}{
		"enough":          {func(*history.Verdict, *FaultKind) {}, ""},
		"too few faults":  {func(_ *history.Verdict, k *FaultKind) { k.Count = 2 }, "cut-bus happened 2 times"},
		"too few reads":   {func(v *history.Verdict, _ *FaultKind) { v.Reads = 999 }, "999 reads were judged"},
		"nothing cached":  {func(v *history.Verdict, _ *FaultKind) { v.LocalShare = 0.49 }, "49.0 % of the reads"},
		"few fresh reads": {func(v *history.Verdict, _ *FaultKind) { v.FreshReads = 2 }, "2 fresh reads"},
		"a verb too few": {func(v *history.Verdict, _ *FaultKind) {
			v.Verbs = maps.Clone(v.Verbs)
			v.Verbs[node.Clear] = 2
		}, "Clear was acknowledged 2 times"},
		"no prefixes, as memcached cannot": {func(v *history.Verdict, _ *FaultKind) {
			v.Verbs = maps.Clone(v.Verbs)
			v.Verbs[node.Prefix] = 0
		}, ""},
		"nothing written": {func(v *history.Verdict, _ *FaultKind) { v.WriteShare = 0.019 }, "1.9 % were writes"},
	} {
		v, k := enough, FaultKind{Name: "cut-bus", FaultSummary: history.FaultSummary{Count: 3}}
		c.change(&v, &k)
		r := &run{Config: Config{MinReads: 1000, MinFaults: 3}, backend: &site{product: memcached}}
		report := &Report{Verdict: &v, Kinds: []FaultKind{k}}
		report.Insufficient = r.insufficient(report)
		if got := strings.Join(report.Insufficient, "; "); !strings.Contains(got, c.want) || report.OK() != (c.want == "") {
			t.Errorf("%s: OK is %t, %q", name, report.OK(), got)
		}
	}
}

func TestAReportThatIsNotOKSaysWhy(t *testing.T) {
	t.Parallel()
	v := &history.Verdict{Violated: map[history.Kind]int{history.OwnWrite: 2}, First: []history.Violation{{Kind: history.OwnWrite}}}
	r := &Report{Verdict: v, Insufficient: []string{"too little"}, Broken: []string{"too bad"}, Kinds: []FaultKind{{Name: "cut-bus"}}, Seed: 77}
	var text, encoded bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteJSON(&encoded)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 VIOLATIONS", "older than an own write", "too little", "too bad", "cut-bus", "77"} {
		if !strings.Contains(text.String(), want) || want != "2 VIOLATIONS" && !strings.Contains(encoded.String(), want) {
			t.Errorf("%q is missing in\n%s\n%s", want, text.String(), encoded.String())
		}
	}
	if !json.Valid(encoded.Bytes()) || r.OK() {
		t.Error("no JSON, or OK")
	}
}

func TestFaultsAreChosenByTheBeginningsOfTheirNames(t *testing.T) {
	t.Parallel()
	catalogue := []fault{{name: "cut-backend"}, {name: "cut-bus"}, {name: "kill-node"}, {name: "cutter-bus"}}
	for list, want := range map[string]string{
		"all":           "cut-backend cut-bus kill-node cutter-bus",
		"none":          "",
		"cut":           "cut-backend cut-bus",
		"cut-bus":       "cut-bus",
		"kill,cut-bus":  "cut-bus kill-node",
		"all,-cut":      "kill-node cutter-bus",
		"all, -restore": "cut-backend cut-bus kill-node cutter-bus",
	} {
		chosen, err := choose(catalogue, strings.Split(list, ","))
		var names []string
		for _, f := range chosen {
			names = append(names, f.name)
		}
		if got := strings.Join(names, " "); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", list, got, err, want)
		}
	}
	if _, err := choose(catalogue, []string{"cu"}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "kill-node") {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestALanePlansEachFaultOftenEnough(t *testing.T) {
	t.Parallel()
	for _, duration := range []time.Duration{12 * time.Second, 30 * time.Second, 2 * time.Minute, time.Hour} {
		c, err := (&Config{Backend: redis, Nodes: 4, Duration: duration, MaxStaleness: time.Second, Faults: []string{"all"}, Command: nil}).complete()
		if !errors.Is(err, ErrConfig) { // for want of a command
			t.Fatal(err)
		}
		r := &run{Config: c, pace: 1}
		l := &lane{run: r, faults: slices.Concat(nodeFaults(), wireFaults("backend", nil), wireFaults("bus", nil))}
		l.plan()
		var round time.Duration
		for _, f := range l.faults {
			round += f.lasts + l.gap
		}
		if rounds := float64(duration) * float64(l.width) / float64(round); l.width < l.Nodes-1 && rounds < float64(c.MinFaults) {
			t.Errorf("%v: %d at a time, %.1f rounds, want %d", duration, l.width, rounds, c.MinFaults)
		}
	}
}
