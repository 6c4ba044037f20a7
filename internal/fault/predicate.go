package fault

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
)

// A Predicate chooses operations. Some of them count what they are asked, so make one for each use.
type Predicate interface {
	Is(op Op) bool
	String() string
}

// On is true of operations of the kinds.
func On(kinds Kind) Predicate {
	return stateless{kinds.String(), func(op Op) bool { return op.Kind&kinds != 0 }}
}

// OnKey is true of operations at the stored key: Store.Key tells it.
func OnKey(key string) Predicate {
	return stateless{fmt.Sprintf("key %q", key), func(op Op) bool { return op.Key == key }}
}

// OnPrefix is true of operations at stored keys that begin with prefix.
func OnPrefix(prefix string) Predicate {
	return stateless{fmt.Sprintf("prefix %q", prefix), func(op Op) bool { return strings.HasPrefix(op.Key, prefix) }}
}

// And is true if all are. Later ones are not asked when an earlier one is false: And(On(Add), Nth(1)) is the first Add, and
// And(Nth(1), On(Add)) the first operation, if it is an Add.
func And(predicates ...Predicate) Predicate {
	return stateless{joined("and", predicates), func(op Op) bool {
		for _, p := range predicates {
			if !p.Is(op) {
				return false
			}
		}
		return true
	}}
}

// Or is true if one is. Later ones are not asked then.
func Or(predicates ...Predicate) Predicate {
	return stateless{joined("or", predicates), func(op Op) bool {
		for _, p := range predicates {
			if p.Is(op) {
				return true
			}
		}
		return false
	}}
}

// Not is true if p is false.
func Not(p Predicate) Predicate {
	return stateless{fmt.Sprintf("not %v", p), func(op Op) bool { return !p.Is(op) }}
}

// Nth is true once: the n-th time that it is asked, from 1 on.
func Nth(n int) Predicate {
	return &counting{fmt.Sprintf("nth %d", n), func(asked int) bool { return asked == n }, atomic.Int64{}}
}

// Until is true the first n times that it is asked.
func Until(n int) Predicate {
	return &counting{fmt.Sprintf("until %d", n), func(asked int) bool { return asked <= n }, atomic.Int64{}}
}

// Randomly is true of a part of the operations, from 0 for none to 1 for all. The same seed is true of the same ones, as long as
// it is asked in the same order.
func Randomly(part float64, seed uint64) Predicate {
	return &random{part: part, seed: seed, source: rand.New(rand.NewPCG(seed, seed))}
}

type stateless struct {
	text string
	is   func(op Op) bool
}

func (p stateless) Is(op Op) bool  { return p.is(op) }
func (p stateless) String() string { return p.text }

type counting struct {
	text  string
	is    func(asked int) bool
	asked atomic.Int64
}

func (p *counting) Is(Op) bool     { return p.is(int(p.asked.Add(1))) }
func (p *counting) String() string { return p.text }

type random struct {
	part float64
	seed uint64

	mu     sync.Mutex
	source *rand.Rand // guarded by mu
}

func (p *random) Is(Op) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.source.Float64() < p.part
}

func (p *random) String() string { return fmt.Sprintf("randomly %g seed %d", p.part, p.seed) }

func joined(word string, predicates []Predicate) string {
	s := make([]string, len(predicates))
	for i, p := range predicates {
		s[i] = p.String()
	}
	return "(" + strings.Join(s, " "+word+" ") + ")"
}
