package history

// A Process is one run of one node: a node that was killed and started again is another process.
type Process struct {
	Node int `json:"node"` // from 0
	Life int `json:"life"` // from 0
}

// A Commit is a new version at the source. The versions of a key are 1, 2, … in the order of their commits.
type Commit struct {
	Process // that asked for it
	Key     int
	Version int64
	Name    int64 // by which Runs and Writes may call the version, which whoever made it did not know: negative, or 0 for none
	At      int64
}

// A Write is a write that a process has ended, with or without an error.
type Write struct {
	Process
	Key     int
	Verb    string
	Version int64 // that it committed, or its name; 0: none, which is an invalidation alone
	Began   int64 // when the cache was called; the source may have been written before
	Ended   int64 // when it returned
	Error   string
	Part    bool // one call was about several keys, and this is not the first of them
}

// A Run is one or more reads by one process that returned the same version of a key.
type Run struct {
	Process
	Key     int
	Version int64 // or its name
	Count   int
	First   int64 // when the first was called
	Last    int64 // when the last was called
	Ended   int64 // when the first of them to return did
	Tiers   Tiers
	Fresh   bool // the bound of these reads is 0
	Final   bool // made after the end of all writes and faults
	Wrong   bool // the value was not one of this key
}

// Tiers counts reads by where the value was found.
type Tiers struct {
	Local, Remote, Source int
}

func (t *Tiers) add(o Tiers) {
	t.Local += o.Local
	t.Remote += o.Remote
	t.Source += o.Source
}

// Sum is all of them.
func (t Tiers) Sum() int { return t.Local + t.Remote + t.Source }

// A Failure is reads that returned an error.
type Failure struct {
	Process
	From, To int64 // when the first and the last were called
	Count    int
	Error    string // of the first
}

// A Fault is something that was done to the processes, the servers or what is between them.
type Fault struct {
	Name   string
	Target string
	From   int64
	To     int64
}

// A History is all that happened.
type History struct {
	Start   int64    // from which times are told
	Keys    int      // all have version 1 from the beginning
	Commits []Commit // of later versions, in any order
	Writes  []Write
	Runs    []Run
	Fails   []Failure
	Faults  []Fault
	Died    []Process // processes that were killed before the end

	// Promised are keys at which a write is not excused for the death of its process: a fence stood there, and nothing took it
	// away.
	Promised map[int]bool
}
