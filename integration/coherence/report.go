package coherence

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
)

// A Report is what a check found.
type Report struct {
	Backend      string           `json:"backend"`
	Bus          string           `json:"bus"`
	Nodes        int              `json:"nodes"`
	Duration     time.Duration    `json:"duration_ns"` // asked for
	Took         time.Duration    `json:"took_ns"`     // from the first read to the last look
	MaxStaleness time.Duration    `json:"max_staleness_ns"`
	Faults       []string         `json:"faults"` // asked for
	Seed         uint64           `json:"seed"`
	Machine      string           `json:"machine"`
	Verdict      *history.Verdict `json:"verdict"`
	Loads        int64            `json:"source_loads"`
	Kinds        []FaultKind      `json:"fault_kinds"`

	// Calm is there if no fault was asked for.
	Calm *Calm `json:"calm,omitempty"`

	// Insufficient says why the run proves too little, even if nothing was violated.
	Insufficient []string `json:"insufficient,omitempty"`

	// Broken says what did not work in the check itself, or did not recover after all faults were over.
	Broken []string `json:"broken,omitempty"`
}

// A FaultKind is a fault that was to happen.
type FaultKind struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Need  int    `json:"need"`
	history.FaultSummary
}

// OK reports whether nothing was violated and the run proves something.
func (r *Report) OK() bool { return r.Verdict.OK() && len(r.Insufficient)+len(r.Broken) == 0 }

// report judges.
func (r *run) report() (*Report, error) {
	took := r.since()
	if err := r.closePeers(); err != nil { // what they said last was heard then
		r.failed("%v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Keys, r.history.Commits = r.Traffic.Keys+scriptKeys, r.source.history()
	verdict, err := history.Judge(&r.history, r.MaxStaleness)
	if err != nil {
		return nil, err
	}
	out := &Report{
		Backend: r.backend.describe(), Bus: r.bus.describe(), Nodes: r.Nodes, Duration: r.Duration, Took: took, MaxStaleness: r.MaxStaleness,
		Faults: r.Faults, Seed: r.Seed, Verdict: verdict, Loads: r.source.loads.Load(), Broken: r.failures,
		Machine: fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
	}
	if r.bus == r.backend {
		out.Bus = "the same server"
	}
	for _, f := range r.chosen {
		k := FaultKind{Name: f.name, About: f.about, Need: r.MinFaults}
		if i := slices.IndexFunc(verdict.Faults, func(s history.FaultSummary) bool { return s.Name == f.name }); i >= 0 {
			k.FaultSummary = verdict.Faults[i]
		}
		out.Kinds = append(out.Kinds, k)
	}
	out.Insufficient = r.insufficient(out)
	return out, nil
}

// insufficient says what the run lacks to prove something.
func (r *run) insufficient(out *Report) (reasons []string) {
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	v := out.Verdict
	for _, k := range out.Kinds {
		if k.Count < r.MinFaults {
			add("%s happened %d times, at least %d are needed", k.Name, k.Count, r.MinFaults)
		}
	}
	if r.Traffic.Calm {
		return reasons // it compares
	}
	if v.Reads < r.MinReads {
		add("%d reads were judged, at least %d are needed", v.Reads, r.MinReads)
	}
	if v.LocalShare < 0.5 {
		add("%.1f %% of the reads were local hits, at least 50 %% are needed", 100*v.LocalShare)
	}
	for _, verb := range node.Verbs() {
		if n := v.Verbs[verb]; n < r.MinFaults && (verb != node.Prefix || r.backend.product != memcached) {
			add("%s was acknowledged %d times, at least %d are needed", verb, n, r.MinFaults)
		}
	}
	if v.FreshReads < r.MinFaults {
		add("%d fresh reads were judged, at least %d are needed", v.FreshReads, r.MinFaults)
	}
	if v.WriteShare < 0.02 {
		add("%.1f %% were writes, at least 2 %% are needed", 100*v.WriteShare)
	}
	return reasons
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	v := r.Verdict
	fmt.Fprintf(&b, "backend: %s; bus: %s; %d nodes, %v in %v, bound %v, seed %d; %s\n\n",
		r.Backend, r.Bus, r.Nodes, r.Duration, r.Took.Round(time.Second), r.MaxStaleness, r.Seed, r.Machine)
	fmt.Fprintf(&b, "%d reads judged: %.1f %% local, %.1f %% remote, %.1f %% source; %d failed\n", v.Reads,
		percent(v.Tiers.Local, v.Tiers), percent(v.Tiers.Remote, v.Tiers), percent(v.Tiers.Source, v.Tiers), v.FailedReads)
	fmt.Fprintf(&b, "%d writes acknowledged, %d failed: %.1f %% of all; %d loads of the source\n", v.Writes, v.FailedWrites, 100*v.WriteShare, r.Loads)
	for _, verb := range node.Verbs() {
		fmt.Fprintf(&b, "%d %s, ", v.Verbs[verb], verb)
	}
	fmt.Fprintf(&b, "%d fresh reads\n", v.FreshReads)
	fmt.Fprintf(&b, "worst staleness %v of %v", round(v.Worst), r.MaxStaleness)
	for i, worst := range v.WorstBy {
		separator := ","
		if i == 0 {
			separator = ":"
		}
		fmt.Fprintf(&b, "%s node %d %v", separator, i+1, round(worst))
	}
	fmt.Fprintf(&b, "\n%d runs of reads were late within the bound, %d went backwards; %d keys were left stale by a process that died before it acknowledged\n",
		v.Late, v.Backwards, v.Excused)
	r.writeFaults(&b)
	if c := r.Calm; c != nil {
		b.WriteString("\n")
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "reads\twrites\tlocal\tloads\tloads a read\tworst staleness\tviolations\t  ")
		for i, s := range []Side{c.Strata, c.Plain} {
			fmt.Fprintf(t, "%d\t%d\t%.1f %%\t%d\t%.3f\t%v\t%d\t  %s\n", s.Reads, s.Writes, 100*s.LocalShare, s.Loads, s.LoadsPerRead, round(s.Worst), s.Violations,
				[...]string{"strata", "Ristretto, Redis and pub/sub by hand"}[i])
		}
		t.Flush()
		fmt.Fprintf(&b, "a read costs %.2f times the loads of the hand-made pair (at most %v)\n", c.Ratio, MostLoads)
	}
	r.writeVerdict(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeFaults(b *strings.Builder) {
	if len(r.Kinds) == 0 {
		return
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "fault\ttimes\tlasted\tworst staleness\terrors\tviolations\t")
	for _, k := range r.Kinds {
		fmt.Fprintf(t, "%s\t%d\t%v\t%v\t%d\t%d\t%s\n", k.Name, k.Count, k.Time.Round(100*time.Millisecond), round(k.Worst), k.Errors, k.Violations, k.About)
	}
	t.Flush()
}

func (r *Report) writeVerdict(b *strings.Builder) {
	v := r.Verdict
	if v.FirstError != "" {
		fmt.Fprintf(b, "\nthe first read that failed: %s\n", v.FirstError)
	}
	if n := v.Violations(); n == 0 {
		b.WriteString("\nno violation\n")
	} else {
		fmt.Fprintf(b, "\n%d VIOLATIONS:", n)
		for _, k := range history.Kinds() {
			if v.Violated[k] > 0 {
				fmt.Fprintf(b, " %d %v;", v.Violated[k], k)
			}
		}
		b.WriteString(" the first of them:\n")
		for _, x := range v.First {
			fmt.Fprintf(b, "\n%v\n", x)
		}
	}
	for _, reason := range r.Broken {
		fmt.Fprintf(b, "\nBROKEN: %s\n", reason)
	}
	for _, reason := range r.Insufficient {
		fmt.Fprintf(b, "\nINSUFFICIENT: %s\n", reason)
	}
}

func percent(n int, t history.Tiers) float64 { return 100 * float64(n) / float64(max(1, t.Sum())) }

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
