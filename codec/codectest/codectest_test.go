package codectest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/codectest"
)

// A good codec of bytes: a length of one byte, then the bytes.
type good struct{}

var errBad = errors.New("not a length and as many bytes")

func (good) ID() codec.ID   { return codec.IDApplication }
func (good) Schema() uint64 { return 7 }

func (good) Append(dst, v []byte) ([]byte, error) {
	return append(append(dst, byte(len(v))), v...), nil
}

func (good) Decode(b []byte) ([]byte, error) {
	if len(b) == 0 || len(b) != 1+int(b[0]) {
		return nil, errBad
	}
	return append([]byte{}, b[1:]...), nil
}

// A mutant is a good codec but for what is set.
type mutant struct {
	good
	rule string // that has to see it

	append func(dst, v []byte) ([]byte, error)
	decode func(b []byte) ([]byte, error)
	id     func() codec.ID
	schema func() uint64
}

func (m mutant) ID() codec.ID {
	if m.id != nil {
		return m.id()
	}
	return m.good.ID()
}

func (m mutant) Schema() uint64 {
	if m.schema != nil {
		return m.schema()
	}
	return m.good.Schema()
}

func (m mutant) Append(dst, v []byte) ([]byte, error) {
	if m.append != nil {
		return m.append(dst, v)
	}
	return m.good.Append(dst, v)
}

func (m mutant) Decode(b []byte) ([]byte, error) {
	if m.decode != nil {
		return m.decode(b)
	}
	return m.good.Decode(b)
}

var mutants = map[string]mutant{
	"loses a byte":                 {rule: "round_trip", append: loseLast},
	"cannot encode all":            {rule: "round_trip", append: refuseLong},
	"cannot decode all":            {rule: "round_trip", decode: func(b []byte) ([]byte, error) { return nil, errBad }},
	"ignores dst":                  {rule: "prefix", append: func(_, v []byte) ([]byte, error) { return good{}.Append(nil, v) }},
	"overwrites dst":               {rule: "prefix", append: func(dst, v []byte) ([]byte, error) { clear(dst); return good{}.Append(dst, v) }},
	"leaves a gap where room is":   {rule: "prefix", append: leaveGap},
	"has no id":                    {rule: "identity", id: func() codec.ID { return 0 }},
	"changes its id":               {rule: "identity", id: changing[codec.ID]()},
	"changes its schema":           {rule: "identity", schema: changing[uint64]()},
	"keeps what was decoded":       {rule: "fresh", decode: keepDecoded()},
	"keeps what failed":            {rule: "fresh", decode: keepFailed()},
	"aliases its input":            {rule: "aliasing", decode: aliasInput},
	"hands out its own memory":     {rule: "owned", append: handOut()},
	"changes its input":            {rule: "input", decode: func(b []byte) ([]byte, error) { v, err := good{}.Decode(b); clear(b); return v, err }},
	"fills up what is cut short":   {rule: "truncated", decode: fillUp},
	"ignores what follows":         {rule: "trailing", decode: ignoreRest},
	"panics":                       {rule: "hostile", decode: func(b []byte) ([]byte, error) { _ = b[3]; return good{}.Decode(b) }},
	"returns a value and an error": {rule: "hostile", decode: bothAtOnce},
	"takes one call at a time":     {rule: "concurrent", append: alone()},
}

func loseLast(dst, v []byte) ([]byte, error) { return good{}.Append(dst, v[:max(0, len(v)-1)]) }

func bothAtOnce(b []byte) ([]byte, error) {
	v, err := good{}.Decode(b)
	if err != nil {
		v = []byte("half")
	}
	return v, err
}

func refuseLong(dst, v []byte) ([]byte, error) {
	if len(v) > 50 {
		return dst, errBad
	}
	return good{}.Append(dst, v)
}

func leaveGap(dst, v []byte) ([]byte, error) {
	if cap(dst)-len(dst) > 50 {
		dst = append(dst, 0)
	}
	return good{}.Append(dst, v)
}

func changing[T ~uint8 | ~uint64]() func() T {
	var n atomic.Uint32
	return func() T { return T(n.Add(1)) }
}

// keepDecoded returns a Decode that adds to the value before, if that was not empty.
func keepDecoded() func(b []byte) ([]byte, error) {
	var last []byte
	return func(b []byte) ([]byte, error) {
		v, err := good{}.Decode(b)
		if err == nil && len(v) == 0 {
			return bytes.Clone(last), nil
		}
		last = v
		return v, err
	}
}

// keepFailed returns a Decode that fails after a failure.
func keepFailed() func(b []byte) ([]byte, error) {
	var failed bool
	return func(b []byte) ([]byte, error) {
		if failed {
			failed = false
			return nil, errBad
		}
		v, err := good{}.Decode(b)
		failed = err != nil
		return v, err
	}
}

func aliasInput(b []byte) ([]byte, error) {
	if _, err := (good{}).Decode(b); err != nil {
		return nil, err
	}
	return b[1:], nil
}

// handOut returns an Append that remembers what it made.
func handOut() func(dst, v []byte) ([]byte, error) {
	known := map[string][]byte{}
	return func(dst, v []byte) ([]byte, error) {
		if b, ok := known[string(v)]; ok && dst == nil {
			return b, nil
		}
		b, err := good{}.Append(dst, v)
		known[string(v)] = b
		return b, err
	}
}

func fillUp(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errBad
	}
	v := bytes.Repeat([]byte("x"), int(b[0]))
	copy(v, b[1:])
	return v, nil
}

func ignoreRest(b []byte) ([]byte, error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, errBad
	}
	return append([]byte{}, b[1:1+int(b[0])]...), nil
}

// alone returns an Append that fails when another call is under way, for which it waits a little.
func alone() func(dst, v []byte) ([]byte, error) {
	var calls atomic.Int32
	return func(dst, v []byte) ([]byte, error) {
		calls.Add(1)
		defer calls.Add(-1)
		for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if calls.Load() > 1 {
				return dst, errors.New("one call at a time")
			}
		}
		return good{}.Append(dst, v)
	}
}

var values = [][]byte{nil, []byte("x"), []byte("value"), bytes.Repeat([]byte("long"), 50)}

func run(t *testing.T, c codec.Codec[[]byte]) { codectest.Run(t, c, values, bytes.Equal) }

func TestAGoodCodecPasses(t *testing.T) { run(t, good{}) }

const mutantVariable = "STRATA_CODECTEST_MUTANT"

// TestMutant runs the suite on the mutant that the environment names. It is for TestEachMutantIsSeen alone.
func TestMutant(t *testing.T) {
	m, ok := mutants[os.Getenv(mutantVariable)]
	if !ok {
		t.Skip("runs in a process of TestEachMutantIsSeen only")
	}
	run(t, m)
}

func TestEachMutantIsSeen(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestMutant$/^"+m.rule+"$", "-test.v")
			cmd.Env = append(os.Environ(), mutantVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), fmt.Sprintf("--- FAIL: TestMutant/%s", m.rule)) {
				t.Errorf("the rule %s did not fail: %v\n%s", m.rule, err, out)
			}
			if !strings.Contains(string(out), "the contract: ") {
				t.Errorf("the sentence of the rule was not printed:\n%s", out)
			}
		})
	}
}

// Every rule has a mutant that only it needs to see.
func TestEachRuleHasAMutant(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, m := range mutants {
		covered[m.rule] = true
	}
	out, err := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAGoodCodecPasses$", "-test.v").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if _, rule, ok := strings.Cut(strings.TrimSpace(line), "=== RUN   TestAGoodCodecPasses/"); ok && !covered[rule] {
			t.Errorf("no mutant for %s", rule)
		}
	}
}
