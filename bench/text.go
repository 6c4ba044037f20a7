package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	what := r.Workload.Name
	if r.Workload.Trace != "" {
		what += " " + r.Workload.Trace
	}
	fmt.Fprintf(&b, "%s over %d keys, values of %d bytes, %d readers, %d round(s), seed %d; %s/%s, %d CPUs, %s\n",
		what, r.Workload.Keys, r.ValueSize, r.Concurrency, r.Rounds, r.Seed, r.Machine.OS, r.Machine.Arch, r.Machine.CPUs, r.Machine.Go)
	if r.Interrupted {
		b.WriteString("INTERRUPTED: this is what was done till then\n")
	}
	b.WriteByte('\n')
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "accesses\tkeys\tloads\thit rate\tlocal\tremote\tsource\treads/s\terrors\twrong\t  backend")
	for _, x := range r.Backends {
		fmt.Fprintf(t, "%d\t%d\t%d\t%s\t%s\t%s\t%s\t%.0f\t%d\t%d\t  %s\n", x.Accesses, x.DistinctKeys, x.Loads, percent(x.HitRate),
			percent(x.Tiers.Local.Share), percent(x.Tiers.Remote.Share), percent(x.Tiers.Source.Share),
			x.Throughput, x.Errors, x.WrongValues, x.Backend)
	}
	t.Flush()
	b.WriteByte('\n')
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "reads\tp50\tp90\tp99\tp99.9\tmax\t  tier\t  backend")
	for _, x := range r.Backends {
		WriteTiers(t, x.Tiers, x.Backend)
	}
	t.Flush()
	for _, x := range r.Backends {
		if x.FirstError != "" {
			fmt.Fprintf(&b, "\n%s: %d errors; the first: %s\n", x.Backend, x.Errors, x.FirstError)
		}
		if x.RemoteErrors > 0 {
			fmt.Fprintf(&b, "\n%s: %d commands failed at the backend; the reads went on without it\n", x.Backend, x.RemoteErrors)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteTiers writes one tab-separated line for each tier that answered: reads, p50, p90, p99, p99.9, max, its name, and
// label.
func WriteTiers(w io.Writer, t Tiers, label string) {
	for _, x := range []struct {
		name string
		Tier
	}{{"local", t.Local}, {"remote", t.Remote}, {"source", t.Source}} {
		if x.Reads > 0 {
			l := x.Latency
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t  %s\t  %s\n", x.Reads, short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max), x.name, label)
		}
	}
}

func percent(share float64) string { return fmt.Sprintf("%.2f%%", 100*share) }

// short writes nanoseconds with three digits or so.
func short(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d >= time.Microsecond:
		return d.Round(10 * time.Nanosecond).String()
	}
	return d.String()
}
