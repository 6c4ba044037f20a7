package fault

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// If returns an Injector that asks i about the operations of which p is true.
func If(p Predicate, i Injector) Injector { return conditional{p, i} }

type conditional struct {
	when Predicate
	then Injector
}

func (c conditional) Inject(op Op) Fault {
	if !c.when.Is(op) {
		return Fault{}
	}
	return c.then.Inject(op)
}

func (c conditional) String() string { return fmt.Sprintf("%v if %v", c.then, c.when) }

// First returns an Injector that asks each in turn until one injects a fault. The later ones, and the numbers and chances in
// them, do not see the operation.
func First(injectors ...Injector) Injector { return first(injectors) }

type first []Injector

func (f first) Inject(op Op) Fault {
	for _, i := range f {
		if fault := i.Inject(op); !fault.none() {
			return fault
		}
	}
	return Fault{}
}

func (f first) String() string {
	s := make([]string, len(f))
	for i, injector := range f {
		s[i] = injector.String()
	}
	return "first of (" + strings.Join(s, "; ") + ")"
}

// A Toggle is an Injector that can be turned on and off while operations run. It begins off.
type Toggle struct {
	injector Injector
	on       atomic.Bool
}

// NewToggle returns a Toggle of i, which is off.
func NewToggle(i Injector) *Toggle { return &Toggle{injector: i} }

// On lets the injector inject.
func (t *Toggle) On() { t.on.Store(true) }

// Off ends that. Operations that are delayed or held stay so.
func (t *Toggle) Off() { t.on.Store(false) }

// Inject asks the injector while t is on.
func (t *Toggle) Inject(op Op) Fault {
	if !t.on.Load() {
		return Fault{}
	}
	return t.injector.Inject(op)
}

func (t *Toggle) String() string { return fmt.Sprintf("toggled (%v)", t.injector) }

// A Counter is an Injector that counts what another injects.
type Counter struct {
	injector Injector
	n        atomic.Int64
}

// NewCounter returns a Counter of i, at 0.
func NewCounter(i Injector) *Counter { return &Counter{injector: i} }

// Injected is how many faults were injected.
func (c *Counter) Injected() int { return int(c.n.Load()) }

// Inject asks the injector, and counts its faults.
func (c *Counter) Inject(op Op) Fault {
	f := c.injector.Inject(op)
	if !f.none() {
		c.n.Add(1)
	}
	return f
}

func (c *Counter) String() string { return c.injector.String() }
