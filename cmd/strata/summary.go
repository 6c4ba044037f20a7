package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/strata-cache/strata/bench"
)

// summary is what came of a demo; its JSON form is what --json prints.
type summary struct {
	Backend             string      `json:"backend"` // without secrets
	Bus                 string      `json:"bus"`     // the same; memory if it is in the process
	Nodes               int         `json:"nodes"`
	Processes           bool        `json:"processes"` // each node was a process of its own
	Pids                []int       `json:"pids"`
	Seconds             float64     `json:"seconds"`
	Interrupted         bool        `json:"interrupted"`
	Products            int         `json:"products"`
	Reads               uint64      `json:"reads"`
	Errors              uint64      `json:"errors"` // reads that failed
	FirstError          string      `json:"first_error,omitempty"`
	HitRate             float64     `json:"hit_rate"` // share of the reads that did not reach the source
	Tiers               bench.Tiers `json:"tiers"`
	SourceLoads         uint64      `json:"source_loads"`
	SourceDelayMillis   float64     `json:"source_delay_ms"`
	Invalidations       int         `json:"invalidations"` // that returned without an error
	FailedInvalidations int         `json:"failed_invalidations"`
	Received            uint64      `json:"invalidations_received"` // from other nodes, by all
	MaxStalenessMillis  float64     `json:"max_staleness_ms"`
	StaleReads          int         `json:"stale_reads"`                 // must be 0
	LateReads           int         `json:"older_within_bound"`          // of an older version, within the bound
	Proof               *proof      `json:"last_invalidation,omitempty"` // missing if the demo was interrupted
}

// summarize ends the traffic, proves one invalidation, and adds up.
func (d *demo) summarize(ctx context.Context, took time.Duration) (*summary, error) {
	f := d.flags
	sum := &summary{
		Backend: d.store.String(), Bus: "memory", Nodes: len(d.peers), Processes: f.processes, Seconds: took.Seconds(),
		Interrupted: ctx.Err() != nil, Products: f.products, SourceDelayMillis: float64(f.delay.Microseconds()) / 1000,
		FailedInvalidations: d.failed, FirstError: d.firstFailure, MaxStalenessMillis: float64(f.maxStaleness.Microseconds()) / 1000,
	}
	if f.bus != "" {
		sum.Bus = redact(f.bus)
	}
	if !sum.Interrupted {
		var err error
		if sum.Proof, err = d.prove(ctx, 0); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	// An interrupt ends the traffic, not the counting.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	changed := make(map[int64]bool)
	for _, c := range d.changes {
		changed[c.id] = true
	}
	ids := []int64{}
	for id := range changed {
		ids = append(ids, id)
	}
	reports := make([]*nodeReport, len(d.peers))
	if err := d.each(func(i int, p *peer) error {
		a, err := p.ask(ctx, request{Stop: ids, Stopped: true})
		reports[i] = a.Report
		return err
	}); err != nil {
		return nil, err
	}
	all := bench.NewLatencies()
	for i, r := range reports {
		l, err := bench.DecodeLatencies([3]string{string(r.Latencies[0]), string(r.Latencies[1]), string(r.Latencies[2])})
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i+1, err)
		}
		all.Merge(l)
		stale, late := judge(i, r.Seen, d.changes, int64(f.maxStaleness))
		sum.StaleReads += stale
		sum.LateReads += late
		sum.SourceLoads += r.Loads
		sum.Received += r.Received
		sum.Errors += r.Errors
		if sum.FirstError == "" {
			sum.FirstError = r.FirstError
		}
		sum.Pids = append(sum.Pids, r.Pid)
	}
	sort.Ints(sum.Pids)
	if sum.Proof != nil {
		for _, one := range sum.Proof.Nodes {
			if one.ServedOld {
				sum.StaleReads++
			}
		}
	}
	sum.Invalidations = len(d.changes)
	sum.Tiers = all.Tiers()
	sum.HitRate = sum.Tiers.Local.Share + sum.Tiers.Remote.Share
	sum.Reads = sum.Tiers.Local.Reads + sum.Tiers.Remote.Reads + sum.Tiers.Source.Reads + sum.Errors
	return sum, nil
}

// write prints the summary.
func (u *summary) write(s streams, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(u)
	}
	var b strings.Builder
	where := "in this process"
	if u.Processes {
		where = fmt.Sprintf("as processes %v", u.Pids)
	}
	fmt.Fprintf(&b, "%d nodes %s; remote tier %s, bus %s\n", u.Nodes, where, u.Backend, u.Bus)
	fmt.Fprintf(&b, "%d products in a source that takes %v for a read\n", u.Products, time.Duration(u.SourceDelayMillis*1e6))
	if u.Interrupted {
		b.WriteString("INTERRUPTED: this is what was done till then\n")
	}
	fmt.Fprintf(&b, "\n%d reads in %.1f s, %.2f%% of them without the source:\n\n", u.Reads, u.Seconds, 100*u.HitRate)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "reads\tp50\tp90\tp99\tp99.9\tmax\t  answered by\t  ")
	for _, x := range []struct {
		label string
		tiers bench.Tiers
	}{
		{fmt.Sprintf("%.2f%%", 100*u.Tiers.Local.Share), bench.Tiers{Local: u.Tiers.Local}},
		{fmt.Sprintf("%.2f%%", 100*u.Tiers.Remote.Share), bench.Tiers{Remote: u.Tiers.Remote}},
		{fmt.Sprintf("%.2f%%", 100*u.Tiers.Source.Share), bench.Tiers{Source: u.Tiers.Source}},
	} {
		bench.WriteTiers(t, x.tiers, x.label)
	}
	t.Flush()
	fmt.Fprintf(&b, "\n%8d  loads by the source, for all nodes\n", u.SourceLoads)
	fmt.Fprintf(&b, "%8d  invalidations, heard %d times by other nodes\n", u.Invalidations, u.Received)
	fmt.Fprintf(&b, "%8d  stale reads: of an older version, begun more than %v after its invalidation returned\n", u.StaleReads, time.Duration(u.MaxStalenessMillis*1e6))
	fmt.Fprintf(&b, "%8d  reads of an older version within that bound\n", u.LateReads)
	if u.Errors > 0 || u.FailedInvalidations > 0 {
		fmt.Fprintf(&b, "%8d  reads and %d invalidations failed; the first: %s\n", u.Errors, u.FailedInvalidations, u.FirstError)
	}
	if p := u.Proof; p != nil {
		fmt.Fprintf(&b, "\nAt the end node %d made version %d of product %d out of version %d, which all nodes had, and invalidated it:\n",
			p.ChangedBy, p.NewVersion, p.Product, p.OldVersion)
		for _, n := range p.Nodes {
			if n.ServedOld {
				fmt.Fprintf(&b, "  node %d STILL SERVED THE OLD ONE when the bound had passed\n", n.Node)
				continue
			}
			fmt.Fprintf(&b, "  node %d read the new one %.2f ms after that returned, the old one %d times before\n", n.Node, n.NewAfter, n.OldReads)
		}
	}
	_, err := s.out.Write([]byte(b.String()))
	return err
}
