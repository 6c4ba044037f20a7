package coherence

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/strata-cache/strata/integration/coherence/node"
)

// ErrConfig is what errors.Is finds in the error for a Config that makes no sense.
var ErrConfig = errors.New("coherence: configuration")

// Config says what to check.
type Config struct {
	// Backend and Bus are each the name of a product (redis, memcached, hazelcast), whose server is then started, or the URL of
	// one server that runs. The same product twice, or the same URL, is one server. An empty Bus is the Backend.
	Backend, Bus string

	// Nodes is how many there are, from 1 to 16.
	Nodes int

	// Duration is how long they read and write while things go wrong. Starting and the last look at every key come on top, and
	// it goes on for at most half as long again if a fault has not happened as often as it must.
	Duration time.Duration

	// MaxStaleness is the bound that is given to the nodes and by which they are judged. At least 500 ms.
	MaxStaleness time.Duration

	// Faults are the names of faults or the beginnings of names, such as cut or kill-node; all are those that apply to the
	// servers, none is none, and a minus before a word takes those away again. With none the traffic is a calm one, and what it
	// costs the source is compared with a hand-made pair: see Calm.
	Faults []string

	// Seed is of all that is random in the coordinator and the nodes. When processes meet is never the same, so a seed makes a
	// run similar, not equal.
	Seed uint64

	// Command makes a process that calls node.Serve with its standard input and output. Required.
	Command func() *exec.Cmd

	// MinReads is how many reads must be judged. Default: a million in 120 s.
	MinReads int

	// MinFaults is how often each fault must happen. Default: three times, twice in less than 80 s and once in less than 40 s.
	MinFaults int

	// Traffic overrides fields of the traffic that nodes make by themselves, where it is not zero.
	Traffic node.Traffic

	// Progress is told what happens, by one goroutine at a time. Default: nobody.
	Progress func(done float64, what string)

	// NodeErrors receives the standard error of the nodes. Default: nobody.
	NodeErrors io.Writer
}

// callTimeout is what the nodes' clients wait for a server, unless a URL says otherwise.
const callTimeout = 500 * time.Millisecond

const (
	defaultKeys    = 800
	defaultRate    = 16_000 // operations a second of all nodes
	defaultReaders = 160
	defaultWrites  = 0.026
	defaultSkew    = 0.8
	defaultMany    = 0.02
	defaultFresh   = 0.01
	defaultSweep   = 20 * time.Second // of each node

	// scriptKeys are beyond those of the traffic: each script takes new ones.
	scriptKeys = 20_000
)

func (c *Config) complete() (Config, error) {
	o := *c
	if o.Bus == "" {
		o.Bus = o.Backend
	}
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.Backend == "" {
		bad("no backend")
	}
	if product := productOf(schemeOf(o.Bus)); o.Bus != "" && !node.Buses(product) {
		bad("%s can carry no bus", product)
	}
	if o.Nodes < 1 || o.Nodes > 16 {
		bad("Nodes (--nodes) is %d: must be from 1 to 16", o.Nodes)
	}
	if o.Duration < time.Second || o.Duration > 24*time.Hour {
		bad("Duration (--duration) is %v: must be from 1s to 24h", o.Duration)
	}
	if o.MaxStaleness < 500*time.Millisecond || o.MaxStaleness > time.Minute {
		bad("MaxStaleness (--max-staleness) is %v: must be from 500ms to 1m", o.MaxStaleness)
	}
	if o.Command == nil {
		bad("no command for nodes")
	}
	if o.Progress == nil {
		o.Progress = func(float64, string) {}
	}
	if o.MinReads == 0 {
		o.MinReads = int(1e6 * o.Duration.Seconds() / 120)
	}
	if o.MinFaults == 0 {
		o.MinFaults = min(3, 1+int(o.Duration/(40*time.Second)))
	}
	t := &o.Traffic
	t.Seed = o.Seed
	if isCalm(o.Faults) {
		setDefault(&t.Keys, calm.Keys)
		setDefault(&t.Skew, calm.Skew)
		setDefault(&t.Writes, calm.Writes)
		setDefault(&t.Rate, calm.Rate)
		setDefault(&t.Readers, calm.Readers)
		setDefault(&t.Many, calm.Many)
		t.Calm = true
	}
	setDefault(&t.Keys, defaultKeys)
	setDefault(&t.Skew, defaultSkew)
	setDefault(&t.Readers, defaultReaders)
	setDefault(&t.Rate, defaultRate/max(1, o.Nodes))
	setDefault(&t.Writes, defaultWrites)
	setDefault(&t.Many, defaultMany)
	if !t.Calm {
		setDefault(&t.Fresh, defaultFresh)
		setDefault(&t.Sweep, defaultSweep)
	}
	if err := errors.Join(problems...); err != nil {
		return o, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return o, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// schemeOf is the scheme of a URL, or what else it is.
func schemeOf(what string) string {
	scheme, _, _ := strings.Cut(what, "://")
	return scheme
}
