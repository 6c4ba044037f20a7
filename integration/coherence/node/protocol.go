package node

import (
	"time"

	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/tier"
)

// Config is what a node is made of.
type Config struct {
	history.Process
	Nodes        int // in all
	Backend, Bus string
	Shared       bool   // the bus uses the client of the backend
	Source       string // address of the source
	Name         string // of the cache
	Run          string // no other run has it
	MaxStaleness time.Duration
	Plain        bool // a hand-made pair instead of a cache of package tier
	Traffic      Traffic
}

// Traffic is what a node does by itself.
type Traffic struct {
	Seed    uint64
	Keys    int     // of the random traffic: 0, 1, …
	Skew    float64 // of reads, and of half the writes
	Readers int
	Rate    int     // operations a second
	Writes  float64 // share of the operations
	Many    float64 // share of the reads that are of several keys at once
	Fresh   float64 // share of the reads that have to be fresh
	Calm    bool    // writes are as skewed as reads, all by Invalidate, and values do not become stale

	// Sweep is about how long it takes a node from one Clear, or InvalidatePrefix, to the next. 0: there is none.
	Sweep time.Duration
}

// A Request is what the coordinator asks. Each has one reply with the same Seq.
type Request struct {
	Seq   int64
	Start *Config
	Begin bool // the traffic
	End   bool // the traffic, and wait until nothing is under way
	Read  *Read
	Write *Write
	State bool
}

// Read is one read of a key, or of each of several.
type Read struct {
	Keys  []int
	Final bool
}

// Write is one write of a key.
type Write struct {
	Key      int
	Verb     string
	Patience time.Duration // how long the source may take to commit; 0: as long as the call
}

// A Message is what a node tells. With a Seq it is the reply to a request.
type Message struct {
	Seq   int64
	Error string
	State *State

	Runs   []history.Run
	Fails  []history.Failure
	Writes []history.Write
}

// State is how a node is.
type State struct {
	Stats tier.Stats
}

// The verbs of writes.
const (
	Invalidate = "Invalidate"
	Set        = "Set"           // cache-aside
	BeginWrite = "BeginWrite"    // and Commit
	StateWrite = "Write.Set"     // BeginWrite, Set of what the source has, and Commit
	Through    = "write-through" // Set, which writes the source
	Tag        = "InvalidateTag"
	Clear      = "Clear"
	Prefix     = "InvalidatePrefix"
)

// Verbs are all of them.
func Verbs() []string {
	return []string{Invalidate, Set, BeginWrite, StateWrite, Through, Tag, Clear, Prefix}
}
