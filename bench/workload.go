package bench

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"sync/atomic"
)

// MaxKeys is how many keys a generated workload may have.
const MaxKeys = 50_000_000

// A Workload decides which keys are asked for. Its methods are called by the runner.
type Workload interface {
	// Name is a word for reports.
	Name() string

	// Len is how many keys there are.
	Len() int

	// Key returns the i-th of them.
	Key(i int) string

	// Accesses is how many accesses a turn takes, 0 for a workload that goes on until its time is over.
	Accesses() int

	// Turn begins a turn of several workers: it returns what gives each of them its next key's index, and reports false
	// when there is none left. The same seed gives the same accesses.
	Turn(seed uint64) func(worker int) func() (int, bool)
}

// Uniform asks for each of n keys equally often.
func Uniform(n int) (Workload, error) {
	if err := checkKeys(n); err != nil {
		return nil, err
	}
	return &drawn{name: "uniform", n: n}, nil
}

// Zipf asks for the i-th of n keys in proportion to 1/i^s: few keys are hot, most are cold. s is positive; traffic of web
// sites has about 0.8 to 1.1.
func Zipf(n int, s float64) (Workload, error) {
	if err := checkKeys(n); err != nil {
		return nil, err
	}
	if !(s > 0) || s > 10 {
		return nil, fmt.Errorf("bench: zipf: s is %v, must be above 0 and at most 10", s)
	}
	sums := make([]float64, n)
	total := 0.0
	for i := range sums {
		total += math.Pow(float64(i+1), -s)
		sums[i] = total
	}
	return &drawn{name: "zipf", n: n, sums: sums}, nil
}

func checkKeys(n int) error {
	if n < 1 || n > MaxKeys {
		return fmt.Errorf("bench: %d keys: must be from 1 to %d", n, MaxKeys)
	}
	return nil
}

// drawn draws keys at random.
type drawn struct {
	name string
	n    int
	sums []float64 // of the weights up to each key; nil: all weigh the same
}

func (d *drawn) Name() string     { return d.name }
func (d *drawn) Len() int         { return d.n }
func (d *drawn) Key(i int) string { return strconv.Itoa(i) }
func (d *drawn) Accesses() int    { return 0 }

func (d *drawn) Turn(seed uint64) func(int) func() (int, bool) {
	return func(worker int) func() (int, bool) {
		r := rand.New(rand.NewPCG(seed, uint64(worker)))
		if d.sums == nil {
			return func() (int, bool) { return r.IntN(d.n), true }
		}
		total := d.sums[d.n-1]
		return func() (int, bool) {
			return min(sort.SearchFloat64s(d.sums, r.Float64()*total), d.n-1), true
		}
	}
}

// Replay asks for what t recorded, each access once and in order. Workers share one position in the trace, so with
// several of them neighbouring accesses overlap, as they did when they were recorded.
func Replay(t *Trace) (Workload, error) {
	if t == nil || len(t.sequence) == 0 {
		return nil, errors.New("bench: replay: the trace has no accesses")
	}
	return replay{t}, nil
}

type replay struct{ *Trace }

func (replay) Name() string       { return "trace" }
func (r replay) Len() int         { return len(r.keys) }
func (r replay) Key(i int) string { return r.keys[i] }
func (r replay) Accesses() int    { return len(r.sequence) }

func (r replay) Turn(uint64) func(int) func() (int, bool) {
	next := new(atomic.Int64)
	return func(int) func() (int, bool) {
		return func() (int, bool) {
			i := next.Add(1) - 1
			if i >= int64(len(r.sequence)) {
				return 0, false
			}
			return int(r.sequence[i]), true
		}
	}
}
