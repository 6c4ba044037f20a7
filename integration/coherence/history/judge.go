package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// keptViolations is how many violations are told in full.
const keptViolations = 10

// shortlyBefore is how long before the write that a violation is about faults are still told with it.
const shortlyBefore = 2 * time.Second

// A cover is a version that no read may be older than, from a time on.
type cover struct {
	at      int64
	version int64
	write   *Write
}

// covers are in the order of time, and their versions grow.
type covers []cover

// newer returns the first cover of a version above v.
func (c covers) newer(v int64) (cover, bool) {
	i, _ := slices.BinarySearchFunc(c, v, func(c cover, v int64) int {
		if c.version > v {
			return 1
		}
		return -1
	})
	if i == len(c) {
		return cover{}, false
	}
	return c[i], true
}

// newCovers makes covers of any.
func newCovers(all []cover) covers {
	slices.SortFunc(all, func(a, b cover) int { return cmp.Compare(a.at, b.at) })
	kept := all[:0]
	for _, c := range all {
		if len(kept) == 0 || c.version > kept[len(kept)-1].version {
			kept = append(kept, c)
		}
	}
	return kept
}

// ownKey is a key as one process writes it.
type ownKey struct {
	Process
	key int
}

// A judge holds what is known while a history is judged.
type judge struct {
	h       *History
	bound   time.Duration
	commits [][]Commit // by key; the one of version v at v-2
	all     []covers   // by key
	own     map[ownKey]covers
	seen    map[ownKey]map[int64]int64 // the earliest return of each version
	died    map[Process]bool
	v       *Verdict
	faults  map[string]*FaultSummary
	excused map[int]bool
}

// Judge judges a history by a bound.
func Judge(h *History, bound time.Duration) (*Verdict, error) {
	j := &judge{
		h: h, bound: bound, commits: make([][]Commit, h.Keys), all: make([]covers, h.Keys), own: map[ownKey]covers{},
		seen: map[ownKey]map[int64]int64{}, died: map[Process]bool{}, faults: map[string]*FaultSummary{}, excused: map[int]bool{},
		v: &Verdict{Violated: map[Kind]int{}, Verbs: map[string]int{}, Runs: len(h.Runs)},
	}
	for _, p := range h.Died {
		j.died[p] = true
	}
	if err := j.sortCommits(); err != nil {
		return nil, err
	}
	j.callByVersion()
	j.cover()
	j.countFaults()
	for i := range h.Runs {
		j.note(&h.Runs[i])
	}
	for i := range h.Runs {
		j.run(&h.Runs[i])
	}
	slices.SortStableFunc(j.v.First, func(a, b Violation) int { return cmp.Compare(a.Read.Last, b.Read.Last) })
	j.v.First = j.v.First[:min(len(j.v.First), keptViolations)]
	for i := range j.v.First {
		j.explain(&j.v.First[i])
	}
	j.sum()
	return j.v, nil
}

func (j *judge) sortCommits() error {
	for _, c := range j.h.Commits {
		if c.Key < 0 || c.Key >= j.h.Keys {
			return fmt.Errorf("history: a commit of key %d, of %d keys", c.Key, j.h.Keys)
		}
		j.commits[c.Key] = append(j.commits[c.Key], c)
	}
	for key, list := range j.commits {
		slices.SortFunc(list, func(a, b Commit) int { return cmp.Compare(a.Version, b.Version) })
		for i, c := range list {
			if c.Version != int64(i+2) || i > 0 && c.At < list[i-1].At {
				return fmt.Errorf("history: key %d: version %d is not committed after all before it", key, c.Version)
			}
		}
	}
	return nil
}

// callByVersion replaces names by the versions that they stand for. A name that nothing was committed by is of no version.
func (j *judge) callByVersion() {
	versions := map[int64]int64{}
	for _, c := range j.h.Commits {
		if c.Name < 0 {
			versions[c.Name] = c.Version
		}
	}
	for i := range j.h.Runs {
		if r := &j.h.Runs[i]; r.Version < 0 {
			r.Version = versions[r.Version]
		}
	}
	for i := range j.h.Writes {
		if w := &j.h.Writes[i]; w.Version < 0 {
			w.Version = versions[w.Version]
		}
	}
}

// committedBefore returns the newest version of a key that was committed before a time.
func (j *judge) committedBefore(key int, t int64) int64 {
	i, _ := slices.BinarySearchFunc(j.commits[key], t, func(c Commit, t int64) int {
		if c.At >= t {
			return 1
		}
		return -1
	})
	return int64(i + 1)
}

// cover finds from when on which version must be seen.
func (j *judge) cover() {
	all, own := make([][]cover, j.h.Keys), map[ownKey][]cover{}
	for i := range j.h.Writes {
		w := &j.h.Writes[i]
		if w.Error != "" {
			if !w.Part {
				j.v.FailedWrites++
			}
			continue
		}
		if !w.Part {
			j.v.Writes++
			j.v.Verbs[w.Verb]++
		}
		c := cover{at: w.Ended, version: max(w.Version, j.committedBefore(w.Key, w.Began)), write: w}
		id := ownKey{w.Process, w.Key}
		all[w.Key] = append(all[w.Key], c)
		own[id] = append(own[id], c)
	}
	for key, list := range all {
		j.all[key] = newCovers(list)
	}
	for id, list := range own {
		j.own[id] = newCovers(list)
	}
}

// note remembers when a version was first returned.
func (j *judge) note(r *Run) {
	id := ownKey{r.Process, r.Key}
	versions := j.seen[id]
	if versions == nil {
		versions = map[int64]int64{}
		j.seen[id] = versions
	}
	if at, ok := versions[r.Version]; !ok || r.Ended < at {
		versions[r.Version] = r.Ended
	}
}

// run judges one run.
func (j *judge) run(r *Run) {
	v := j.v
	v.Reads += r.Count
	v.Tiers.add(r.Tiers)
	if r.Fresh {
		v.FreshReads += r.Count
	}
	for r.Node >= len(v.WorstBy) {
		v.WorstBy = append(v.WorstBy, 0)
	}
	if r.Wrong || r.Version < 1 || j.committedAt(r.Key, r.Version) > r.Ended {
		j.violated(Violation{Kind: Impossible, Read: *r})
		return
	}
	for version, at := range j.seen[ownKey{r.Process, r.Key}] {
		if version > r.Version && at < r.Last {
			v.Backwards++
			break
		}
	}
	if c, ok := j.own[ownKey{r.Process, r.Key}].newer(r.Version); ok && r.Last > c.at {
		j.violated(j.violation(OwnWrite, r, c))
	}
	c, ok := j.all[r.Key].newer(r.Version)
	if r.Fresh && ok && r.Last > c.at {
		j.violated(j.violation(NotFresh, r, c))
	}
	switch {
	case ok && r.Last > c.at:
		j.old(r, c)
	case r.Final:
		j.unrepaired(r)
	}
}

// old judges a run that is older than a cover.
func (j *judge) old(r *Run, c cover) {
	age := time.Duration(r.Last - c.at)
	j.v.Worst = max(j.v.Worst, age)
	j.v.WorstBy[r.Node] = max(j.v.WorstBy[r.Node], age)
	for _, f := range j.h.Faults {
		if f.From < r.Last && f.To > c.at {
			s := j.faults[f.Name]
			s.Worst = max(s.Worst, age)
		}
	}
	switch {
	case r.Final:
		j.violated(j.violation(StaleAtEnd, r, c))
	case age > j.bound:
		j.violated(j.violation(Stale, r, c))
	default:
		j.v.Late++
	}
}

// unrepaired judges a last read that is not older than anything acknowledged.
func (j *judge) unrepaired(r *Run) {
	for _, c := range j.commits[r.Key] {
		if c.Version <= r.Version {
			continue
		}
		if !j.died[c.Process] || j.h.Promised[r.Key] {
			x := Violation{Kind: Unrepaired, Read: *r, Version: c.Version, Commit: &c}
			for i := range j.h.Writes {
				if w := &j.h.Writes[i]; w.Key == c.Key && w.Process == c.Process && w.Version == c.Version {
					x.Write, x.Age = w, time.Duration(r.Last-w.Ended)
				}
			}
			j.violated(x)
			return
		}
		if !j.excused[r.Key] {
			j.excused[r.Key] = true
			j.v.Excused++
		}
	}
}

func (j *judge) violation(k Kind, r *Run, c cover) Violation {
	x := Violation{Kind: k, Read: *r, Version: c.version, Age: time.Duration(r.Last - c.at), Write: c.write}
	if i := r.Version - 1; i >= 0 && i < int64(len(j.commits[r.Key])) {
		x.Commit = &j.commits[r.Key][i]
	}
	return x
}

func (j *judge) violated(x Violation) {
	j.v.Violated[x.Kind]++
	x.start = j.h.Start
	from := x.Read.Last
	if x.Write != nil {
		from = min(from, x.Write.Began)
	}
	counted := map[string]bool{}
	for _, f := range j.h.Faults {
		if f.around(from, x.Read.Last) && !counted[f.Name] {
			counted[f.Name] = true
			j.faults[f.Name].Violations++
		}
	}
	// The first by time are wanted, and the runs are in no order: keep enough to choose from.
	j.v.First = append(j.v.First, x)
	if len(j.v.First) > 100*keptViolations {
		slices.SortStableFunc(j.v.First, func(a, b Violation) int { return cmp.Compare(a.Read.Last, b.Read.Last) })
		j.v.First = j.v.First[:keptViolations]
	}
}

// around reports whether the fault lasted between two times, or shortly before.
func (f Fault) around(from, to int64) bool { return f.From < to && f.To > from-int64(shortlyBefore) }

// explain adds what else was done at that time, to the key of a violation and at large.
func (j *judge) explain(x *Violation) {
	from := x.Read.First - int64(time.Second)
	if x.Write != nil {
		from = min(from, x.Write.Began-int64(300*time.Millisecond))
	}
	for _, f := range j.h.Faults {
		if f.around(from, x.Read.Last) {
			x.Faults = append(x.Faults, fmt.Sprintf("%s of %s from %.0fms to %.0fms", f.Name, f.Target, float64(f.From-j.h.Start)/1e6, float64(f.To-j.h.Start)/1e6))
		}
	}
	type line struct {
		at   int64
		text string
	}
	var lines []line
	ms := func(t int64) string { return fmt.Sprintf("%.1fms", float64(t-j.h.Start)/1e6) }
	for _, c := range j.commits[x.Read.Key] {
		if c.At > from && c.At < x.Read.Last {
			lines = append(lines, line{c.At, fmt.Sprintf("%s %v commits version %d", ms(c.At), c.Process, c.Version)})
		}
	}
	for _, w := range j.h.Writes {
		if w.Key == x.Read.Key && w.Ended > from && w.Began < x.Read.Last {
			lines = append(lines, line{w.Began, fmt.Sprintf("%s %v %s of version %d until %s %s", ms(w.Began), w.Process, w.Verb, w.Version, ms(w.Ended), w.Error)})
		}
	}
	for _, r := range j.h.Runs {
		if r.Key == x.Read.Key && r.Last > from && r.First < x.Read.Last {
			lines = append(lines, line{r.First, fmt.Sprintf("%s %v reads version %d, %d times until %s (local %d, remote %d, source %d)",
				ms(r.First), r.Process, r.Version, r.Count, ms(r.Last), r.Tiers.Local, r.Tiers.Remote, r.Tiers.Source)})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	const most = 40
	for _, l := range lines[max(0, len(lines)-most):] {
		x.Around = append(x.Around, l.text)
	}
}

// committedAt returns when a version was committed, never for one that was not.
func (j *judge) committedAt(key int, version int64) int64 {
	switch {
	case key < 0 || key >= j.h.Keys || version > int64(len(j.commits[key])+1):
		return math.MaxInt64
	case version == 1:
		return math.MinInt64
	}
	return j.commits[key][version-2].At
}

func (j *judge) countFaults() {
	for _, f := range j.h.Faults {
		s := j.faults[f.Name]
		if s == nil {
			s = &FaultSummary{Name: f.Name}
			j.faults[f.Name] = s
		}
		s.Count++
		s.Time += time.Duration(f.To - f.From)
		for _, x := range j.h.Fails {
			if x.From < f.To && x.To > f.From {
				s.Errors += x.Count
			}
		}
		for _, w := range j.h.Writes {
			if w.Error != "" && !w.Part && w.Began < f.To && w.Ended > f.From {
				s.Errors++
			}
		}
	}
}

// sum fills in what follows from the rest.
func (j *judge) sum() {
	v := j.v
	for _, f := range j.h.Fails {
		v.FailedReads += f.Count
		if v.FirstError == "" {
			v.FirstError = f.Error
		}
	}
	if n := v.Tiers.Sum(); n > 0 {
		v.LocalShare = float64(v.Tiers.Local) / float64(n)
	}
	if n := v.Reads + v.FailedReads + v.Writes + v.FailedWrites; n > 0 {
		v.WriteShare = float64(v.Writes+v.FailedWrites) / float64(n)
	}
	for _, s := range j.faults {
		v.Faults = append(v.Faults, *s)
	}
	slices.SortFunc(v.Faults, func(a, b FaultSummary) int { return cmp.Compare(a.Name, b.Name) })
}
