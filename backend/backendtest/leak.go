package backendtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A marker tells the goroutines that a rule began, by itself or through the client library, from all others: by a
// profiler's label, which goroutines inherit from the one that starts them.
type marker struct {
	name     string
	ctx      context.Context // with the label; without once the rule is over
	immortal []string
}

const label = "backendtest"

// mark marks the calling goroutine, which is the test's, until end is called. When the test ends, and what it opened is
// closed, no connection and no marked goroutine may be left.
func mark(t *testing.T, d *Depth) *marker {
	m := &marker{name: rand.Text(), immortal: d.Immortal}
	m.ctx = pprof.WithLabels(context.Background(), pprof.Labels(label, m.name))
	pprof.SetGoroutineLabels(m.ctx)
	t.Cleanup(func() {
		poll(t, 10*time.Millisecond, d.Patience, "no connection is left", func() error {
			if d.Network == nil || d.Network.Open() == 0 {
				return nil
			}
			return fmt.Errorf("%d connections are open", d.Network.Open())
		})
		poll(t, 10*time.Millisecond, d.Patience, "no goroutine is left", func() error {
			if n, stacks := m.count(); n > 0 {
				return fmt.Errorf("%d goroutines run:\n%s", n, stacks)
			}
			return nil
		})
	})
	return m
}

// end takes the mark from the calling goroutine: what its cleanups start is the harness's affair.
func (m *marker) end() {
	m.ctx = context.Background()
	pprof.SetGoroutineLabels(m.ctx)
}

// apart runs f, of the harness, so that the goroutines that it starts are not those of the rule.
func (m *marker) apart(f func()) {
	pprof.SetGoroutineLabels(context.Background())
	defer pprof.SetGoroutineLabels(m.ctx)
	f()
}

// count returns how many marked goroutines there are, and their stacks.
func (m *marker) count() (n int, stacks string) {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 1)
	var found strings.Builder
	for group := range strings.SplitSeq(b.String(), "\n\n") {
		if !strings.Contains(group, `"`+label+`":"`+m.name+`"`) || m.isImmortal(group) {
			continue
		}
		for line := range strings.SplitSeq(group, "\n") {
			if number, _, ok := strings.Cut(line, " @ "); ok { // how many share the stack that follows
				k, _ := strconv.Atoi(number)
				n += k
			}
		}
		found.WriteString(group + "\n\n")
	}
	return n, found.String()
}

func (m *marker) isImmortal(stack string) bool {
	for _, f := range m.immortal {
		if strings.Contains(stack, f) {
			return true
		}
	}
	return false
}
