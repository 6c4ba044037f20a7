package main

import "time"

// The demo's coordinator talks to its nodes in lines of JSON, one message each, over pipes: the standard input and output
// of a process, or pipes in memory. URLs go this way too, so that no password is in the list of processes.

// request is what the coordinator asks of a node. Each has one reply, with the same Seq.
type request struct {
	Seq     int64       `json:"seq"`
	Start   *nodeConfig `json:"start,omitempty"`   // the first one: open everything
	Traffic bool        `json:"traffic,omitempty"` // begin to read
	Change  *int64      `json:"change,omitempty"`  // change this product and invalidate it
	Read    *int64      `json:"read,omitempty"`    // read this product once
	Stop    []int64     `json:"stop,omitempty"`    // end the traffic and report; of these products, what was seen
	Stopped bool        `json:"stopped,omitempty"` // Stop is meant, even if it is empty
}

// reply is a node's answer. A message without Seq tells how far it is.
type reply struct {
	Seq     int64       `json:"seq"`
	Error   string      `json:"error,omitempty"`
	Down    bool        `json:"down,omitempty"`    // Error is that a server is unavailable
	Version int64       `json:"version,omitempty"` // to Change, Read
	At      int64       `json:"at,omitempty"`      // to Change: when Invalidate had returned; to Read: when it began. Unix ns
	Tier    string      `json:"tier,omitempty"`    // to Read
	Report  *nodeReport `json:"report,omitempty"`  // to Stop
	Reads   uint64      `json:"reads,omitempty"`   // without Seq: so far
	Hits    uint64      `json:"hits,omitempty"`    // without Seq: so far, of both tiers
}

// nodeConfig is what a node needs to know.
type nodeConfig struct {
	Node         int           `json:"node"` // from 0
	Database     string        `json:"database"`
	Delay        time.Duration `json:"delay"`
	Products     int           `json:"products"`
	Backend      string        `json:"backend"` // "": what was handed over in memory
	Bus          string        `json:"bus"`     // the same
	Version      string        `json:"version"` // of the cache
	MaxStaleness time.Duration `json:"max_staleness"`
	Seed         uint64        `json:"seed"`
	Rate         int           `json:"rate"` // reads a second
	Readers      int           `json:"readers"`
}

// nodeReport is what a node did.
type nodeReport struct {
	Node        int                  `json:"node"`
	Pid         int                  `json:"pid"`
	Latencies   [3][]byte            `json:"latencies"` // bench.Latencies.Encode
	Errors      uint64               `json:"errors"`
	FirstError  string               `json:"first_error,omitempty"`
	Loads       uint64               `json:"loads"`
	Invalidated uint64               `json:"invalidated"`
	Received    uint64               `json:"received"`
	Seen        map[int64][]sighting `json:"seen"` // by product
}

// sighting is when a node read one version of a product: the last of these reads.
type sighting struct {
	Version int64   `json:"version"`
	Began   []int64 `json:"began"` // Unix ns, when the last reads began, at most keptReads, in no order
}
