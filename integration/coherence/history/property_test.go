package history_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/strata-cache/strata/integration/coherence/history"
)

// single is one read as it was made.
type single struct {
	by           history.Process
	version      int64
	began, ended int64
	fresh        bool
}

// naive judges single reads by the words of the promise, one write after the other.
func naive(h *history.History, reads []single) (stale, own, old bool, worst time.Duration) {
	for _, r := range reads {
		for _, w := range h.Writes {
			covered := w.Version
			for _, c := range h.Commits {
				if c.At < w.Began {
					covered = max(covered, c.Version)
				}
			}
			if w.Error != "" || covered <= r.version || r.began <= w.Ended {
				continue
			}
			age := time.Duration(r.began - w.Ended)
			worst = max(worst, age)
			stale = stale || age > bound
			own = own || r.by == w.Process
			old = old || r.fresh
		}
	}
	return stale, own, old, worst
}

func TestRunsAreJudgedAsEachReadOfThemWouldBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := &history.History{Keys: 1}
		process := rapid.SampledFrom([]history.Process{one, two, again})
		at := int64(0)
		for version := int64(2); version < 2+rapid.Int64Range(0, 6).Draw(t, "writes"); version++ {
			at += rapid.Int64Range(1, 900).Draw(t, "pause")
			by := process.Draw(t, "writer")
			h.Commits = append(h.Commits, history.Commit{Process: by, Version: version, At: at * ms})
			began := at + rapid.Int64Range(0, 5).Draw(t, "wait")
			w := history.Write{Process: by, Version: version, Began: began * ms, Ended: (began + rapid.Int64Range(1, 2000).Draw(t, "takes")) * ms}
			if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
				w.Error = "no answer"
			}
			h.Writes = append(h.Writes, w)
		}
		recorders := map[history.Process]*history.Recorder{}
		var reads []single
		for range rapid.IntRange(1, 30).Draw(t, "reads") {
			r := single{by: process.Draw(t, "reader"), version: 1, began: rapid.Int64Range(0, 8000).Draw(t, "began") * ms, fresh: rapid.Bool().Draw(t, "fresh")}
			r.ended = r.began + rapid.Int64Range(1, 300).Draw(t, "took")*ms
			for _, c := range h.Commits {
				if c.At <= r.ended {
					r.version = c.Version
				}
			}
			r.version = rapid.Int64Range(1, r.version).Draw(t, "version")
			reads = append(reads, r)
			if recorders[r.by] == nil {
				recorders[r.by] = history.NewRecorder(r.by)
			}
			recorders[r.by].Add(history.Run{Version: r.version, Fresh: r.fresh, Tiers: history.Tiers{Local: 1}}, r.began, r.ended)
			if rapid.IntRange(0, 9).Draw(t, "report") == 0 {
				runs, _ := recorders[r.by].Take()
				h.Runs = append(h.Runs, runs...)
			}
		}
		for _, r := range recorders {
			runs, _ := r.Take()
			h.Runs = append(h.Runs, runs...)
		}
		v, err := history.Judge(h, bound)
		if err != nil {
			t.Fatal(err)
		}
		stale, own, old, worst := naive(h, reads)
		if (v.Violated[history.Stale] > 0) != stale || (v.Violated[history.OwnWrite] > 0) != own || (v.Violated[history.NotFresh] > 0) != old || v.Worst != worst || v.Reads != len(reads) ||
			v.Violated[history.Impossible] > 0 {
			t.Errorf("%v, worst %v of %d reads; read by read: older than the bound %t, than an own write %t, not fresh %t, worst %v of %d", v.Violated, v.Worst, v.Reads, stale, own, old, worst, len(reads))
		}
	})
}
