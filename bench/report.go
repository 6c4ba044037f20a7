package bench

import (
	"encoding/json"
	"io"
	"time"
)

// ReportVersion is the version of the JSON form of Report. A field may be added without another number.
const ReportVersion = 1

// A Report is what was done and what came of it. Its JSON form is stable: fields keep their names and meanings.
type Report struct {
	Version     int             `json:"version"`     // of this form: ReportVersion
	Started     time.Time       `json:"started"`     // when the first turn began
	Machine     Machine         `json:"machine"`     // where it ran
	Workload    WorkloadReport  `json:"workload"`    // what was asked for
	Rounds      int             `json:"rounds"`      // turns of each backend
	Concurrency int             `json:"concurrency"` // readers at a time
	ValueSize   int             `json:"value_size"`  // bytes of each value
	LocalCost   int64           `json:"local_cost"`  // bytes that the local tier may hold; negative: there was none
	Seed        uint64          `json:"seed"`        // of the accesses
	Interrupted bool            `json:"interrupted"` // it was ended early; what is here is what was done till then
	Backends    []BackendReport `json:"backends"`    // in the order given
}

// Machine is where a benchmark ran.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"` // that the process may use
	Go   string `json:"go"`   // version of the Go runtime
}

// WorkloadReport is what was asked for.
type WorkloadReport struct {
	Name         string  `json:"name"`                   // zipf, uniform or trace
	Trace        string  `json:"trace,omitempty"`        // base name of the trace file
	Keys         int     `json:"keys"`                   // that can be asked for
	Accesses     int     `json:"accesses,omitempty"`     // of one turn; 0: as many as its time allowed
	TurnSeconds  float64 `json:"turn_seconds,omitempty"` // that each turn was given; 0: as many as it took
	SourceMillis float64 `json:"source_delay_ms"`        // how long the source takes for a load
}

// BackendReport is what came of it on one backend, over all rounds. Each round begins with an empty cache.
type BackendReport struct {
	Backend string `json:"backend"` // its URL without secrets, or its name

	Accesses     uint64 `json:"accesses"`      // reads that were made
	DistinctKeys uint64 `json:"distinct_keys"` // different keys that were read, in any round
	Loads        uint64 `json:"loads"`         // calls of the source; in one round at most one a key if everything fits
	LoadedKeys   uint64 `json:"loaded_keys"`   // different keys that were loaded, in any round
	Errors       uint64 `json:"errors"`        // reads that failed; they are in no tier
	FirstError   string `json:"first_error,omitempty"`
	WrongValues  uint64 `json:"wrong_values"` // reads that returned something else than the source has: must be 0

	HitRate    float64 `json:"hit_rate"`    // share of the answered reads that did not reach the source
	Seconds    float64 `json:"seconds"`     // that the turns took in all
	Throughput float64 `json:"reads_per_s"` // accesses by seconds
	Tiers      Tiers   `json:"tiers"`       // by who answered

	RemoteErrors uint64 `json:"remote_errors"` // commands to the backend that failed; the reads went on without it
	RefusedFills uint64 `json:"refused_fills"` // loaded values that the backend did not take
	Undecodable  uint64 `json:"undecodable"`   // records of the backend that could not be used
	LocalFlushes uint64 `json:"local_flushes"` // times that the whole local tier was given up

	Rounds []RoundReport `json:"rounds"`
}

// RoundReport is one turn of one backend.
type RoundReport struct {
	Round    int     `json:"round"` // from 1
	Accesses uint64  `json:"accesses"`
	Loads    uint64  `json:"loads"`
	HitRate  float64 `json:"hit_rate"`
	Seconds  float64 `json:"seconds"`
}

// Tiers is who answered.
type Tiers struct {
	Local  Tier `json:"local"`  // this process
	Remote Tier `json:"remote"` // the backend
	Source Tier `json:"source"` // the loader
}

// Tier is what one tier answered.
type Tier struct {
	Reads   uint64  `json:"reads"`
	Share   float64 `json:"share"` // of all reads that were answered
	Latency Latency `json:"latency"`
}

// WriteJSON writes the JSON form, indented.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Failed reports whether a value was wrong or a read failed.
func (r *Report) Failed() bool {
	for _, b := range r.Backends {
		if b.WrongValues > 0 || b.Errors > 0 {
			return true
		}
	}
	return false
}
