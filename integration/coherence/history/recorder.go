package history

import "sync"

// A Recorder makes runs of reads. Its methods are safe for concurrent use.
type Recorder struct {
	process Process

	mu   sync.Mutex
	runs map[run]*Run // guarded by mu, as fail
	fail *Failure
}

// run is what the reads of a Run have in common.
type run struct {
	key     int
	version int64
	fresh   bool
	final   bool
	wrong   bool
}

// NewRecorder makes a recorder for the reads of one process.
func NewRecorder(p Process) *Recorder {
	return &Recorder{process: p, runs: map[run]*Run{}}
}

// Add records a read that was called at began and has returned at ended. The run's Key, Version, Tiers, Fresh, Final and Wrong say
// what was read.
func (r *Recorder) Add(read Run, began, ended int64) {
	id := run{read.Key, read.Version, read.Fresh, read.Final, read.Wrong}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.runs[id]
	if known == nil {
		read.Process, read.Count, read.First, read.Last, read.Ended = r.process, 1, began, began, ended
		r.runs[id] = &read
		return
	}
	known.Count++
	known.First, known.Last, known.Ended = min(known.First, began), max(known.Last, began), min(known.Ended, ended)
	known.Tiers.add(read.Tiers)
}

// Fail records a read that was called at began and failed.
func (r *Recorder) Fail(began int64, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == nil {
		r.fail = &Failure{Process: r.process, From: began, To: began, Error: message}
	}
	r.fail.Count++
	r.fail.From, r.fail.To = min(r.fail.From, began), max(r.fail.To, began)
}

// Take returns what was recorded since it was called last.
func (r *Recorder) Take() (runs []Run, fails []Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.runs {
		runs = append(runs, *x)
	}
	if r.fail != nil {
		fails = append(fails, *r.fail)
	}
	clear(r.runs)
	r.fail = nil
	return runs, fails
}
