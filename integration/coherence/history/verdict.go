package history

import (
	"fmt"
	"strings"
	"time"
)

// A Kind says what is wrong with a read.
type Kind int

// The kinds of violations. The documentation of the package says what each is.
const (
	Stale Kind = iota
	OwnWrite
	NotFresh
	StaleAtEnd
	Unrepaired
	Impossible

	kinds // their number
)

func (k Kind) String() string {
	return [...]string{"older than the bound", "older than an own write", "older than a fresh read may be", "stale at the end", "unrepaired", "impossible"}[k]
}

// Kinds returns all kinds.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// MarshalText makes reports say the kind in words.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// A Verdict is what the history shows.
type Verdict struct {
	Reads        int     `json:"reads"` // judged ones: those that returned a value
	Runs         int     `json:"runs"`  // into which they were compressed
	Tiers        Tiers   `json:"tiers"`
	LocalShare   float64 `json:"local_share"` // of the reads
	FailedReads  int     `json:"failed_reads"`
	FirstError   string  `json:"first_error,omitempty"`
	FreshReads   int     `json:"fresh_reads"`   // of the judged ones, those that had to be fresh
	Writes       int     `json:"writes"`        // acknowledged
	FailedWrites int     `json:"failed_writes"` // that returned an error
	WriteShare   float64 `json:"write_share"`   // of all writes and reads

	// Verbs are the acknowledged writes by what was called.
	Verbs map[string]int `json:"writes_by_verb"`

	// Worst is how old the oldest value was: for how long a newer version had been covered when the read was called.
	Worst time.Duration `json:"worst_staleness_ns"`

	// WorstBy is the same of single nodes, in their order.
	WorstBy []time.Duration `json:"worst_staleness_by_node_ns"`

	// Late counts the runs that ended with a value older than a covered one, within the bound.
	Late int `json:"late_runs"`

	// Backwards counts the runs in which a process read an older version after a newer one.
	Backwards int `json:"backwards_runs"`

	// Excused counts the keys that a process which died left stale at one node or more, after a write that it had not
	// acknowledged.
	Excused int `json:"excused_keys"`

	// Violated counts the runs that violate what was promised, by kind; First are the first of them in the order of time.
	Violated map[Kind]int `json:"violated"`
	First    []Violation  `json:"violations"`

	Faults []FaultSummary `json:"faults"`
}

// OK reports whether there is no violation.
func (v *Verdict) OK() bool { return len(v.Violated) == 0 }

// Violations is the number of runs that violate something.
func (v *Verdict) Violations() (n int) {
	for _, c := range v.Violated {
		n += c
	}
	return n
}

// A FaultSummary is what happened under all faults of one name.
type FaultSummary struct {
	Name   string        `json:"name"`
	Count  int           `json:"count"`
	Time   time.Duration `json:"time_ns"` // that they lasted in all
	Worst  time.Duration `json:"worst_staleness_ns"`
	Errors int           `json:"errors"` // reads and writes that failed while one lasted
	// Violations counts the runs that violate something and were called while one lasted, or shortly after.
	Violations int `json:"violations"`
}

// A Violation is one run of reads that should not have been, with what is needed to understand it.
type Violation struct {
	Kind    Kind          `json:"kind"`
	Read    Run           `json:"read"`
	Version int64         `json:"newest"`           // that the read had to return at least
	Age     time.Duration `json:"age_ns"`           // of what was read
	Commit  *Commit       `json:"commit,omitempty"` // of the oldest version that the read should have seen
	Write   *Write        `json:"write,omitempty"`  // that first covered a newer version
	Faults  []string      `json:"faults,omitempty"` // that lasted between the two, or shortly before
	Around  []string      `json:"around,omitempty"` // what else was done to the key at that time
	start   int64
}

// String is for developers: times are milliseconds since the run began.
func (v Violation) String() string {
	var b strings.Builder
	at := func(t int64) string { return fmt.Sprintf("%.1fms", float64(t-v.start)/1e6) }
	r := v.Read
	fmt.Fprintf(&b, "%v: key %d: %v read version %d", v.Kind, r.Key, r.Process, r.Version)
	if r.Wrong {
		b.WriteString(", a value of another key")
	}
	if r.Count == 1 {
		fmt.Fprintf(&b, " at %s", at(r.First))
	} else {
		fmt.Fprintf(&b, " %d times from %s to %s", r.Count, at(r.First), at(r.Last))
	}
	fmt.Fprintf(&b, " (local %d, remote %d, source %d)", r.Tiers.Local, r.Tiers.Remote, r.Tiers.Source)
	if v.Commit != nil {
		fmt.Fprintf(&b, "\n    version %d was committed by %v at %s", v.Commit.Version, v.Commit.Process, at(v.Commit.At))
	}
	if w := v.Write; w != nil {
		outcome := "acknowledged"
		if w.Error != "" {
			outcome = "ended with " + w.Error
		}
		fmt.Fprintf(&b, "\n    %s by %v from %s, %s at %s: version %d was due, and what was read is %v too old",
			w.Verb, w.Process, at(w.Began), outcome, at(w.Ended), v.Version, v.Age.Round(100*time.Microsecond))
	}
	if len(v.Faults) > 0 {
		fmt.Fprintf(&b, "\n    faults: %s", strings.Join(v.Faults, ", "))
	}
	for _, a := range v.Around {
		fmt.Fprintf(&b, "\n    %s", a)
	}
	return b.String()
}

func (p Process) String() string {
	if p.Life == 0 {
		return fmt.Sprintf("node %d", p.Node+1)
	}
	return fmt.Sprintf("node %d (life %d)", p.Node+1, p.Life+1)
}
