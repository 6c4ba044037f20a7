package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The times of every run. Faults end at healed; long after it every node must serve what the source has.
const (
	maxStaleness = 500 * time.Millisecond
	begin        = 80 * time.Millisecond
	healed       = 1500 * time.Millisecond
	judgedAt     = 3600 * time.Millisecond
	nodes        = 3
)

// An op is what an item does.
type op string

const (
	get        op = "get"        // and once more, a while later
	peek       op = "peek"       // without loading
	skipLocal  op = "skip-local" // a read that does not look at the local tier
	getMany    op = "get-many"   // of all keys
	fresh      op = "fresh"      // a read that may miss nothing at all
	allowStale op = "stale"      // one that may have old values, though not older than this node's own writes
	invalidate op = "invalidate" // write the source, then Invalidate until it is acknowledged
	remove     op = "delete"     // delete at the source, then Delete until it is acknowledged
	set        op = "set"        // write the source, then Set; if that fails, Invalidate until it is acknowledged
	within     op = "within"     // BeginWrite at one key or all, write the source, Commit or Abort
	expire     op = "expire"
	clear      op = "clear"  // write the source at all keys, then Clear until it is acknowledged
	tag        op = "tag"    // the same with InvalidateTag, at one key or all
	prefix     op = "prefix" // the same with InvalidatePrefix, at the first two keys

	pause     op = "pause"      // the node does nothing
	crash     op = "crash"      // the node is gone, and comes back empty
	cutRemote op = "cut-remote" // nothing passes between the node and the remote tier
	cutBus    op = "cut-bus"    // nor the bus; a new subscription when it ends
	hole      op = "hole"       // what the bus sends is lost, silently
	drop      op = "drop"       // the next frames to the node are lost
	swap      op = "swap"       // the next two frames change places
	repeat    op = "repeat"     // the next frame comes twice
	lose      op = "lose"       // the remote tier restarts without its data
	restore   op = "restore"    // the remote tier comes back as it was a while ago
	downtime  op = "down"       // the remote tier does not answer
	busLose   op = "bus-lose"   // the bus restarts without its log
	busDown   op = "bus-down"   // the bus does not answer
	forget    op = "forget"     // the bus can give nothing again
	evict     op = "evict"      // the remote tier drops a key's value
)

// An item is one line of a script: an operation of an application on a node, or a fault. Minimising removes items and zeroes
// what befalls them.
type item struct {
	At   time.Duration
	Node int
	Op   op
	Key  int
	Seed uint64

	// What befalls an operation. Calls are counted from 1, over remote tier and bus; 0 is none.
	SlowCall  int           // this call is slow
	SlowBy    time.Duration // by so much
	SlowReply bool          // on its way back; else there
	LostCall  int           // this call is lost, there or on its way back
	CrashCall int           // the node crashes as this call begins
	SlowLoad  time.Duration // the source answers late, after it has looked
	Repeat    time.Duration // steps that may be repeated happen again after this
	Patience  time.Duration // the caller's deadline; 0 for none

	// What the source says of being written.
	Source     verdict
	SourceLate time.Duration // until it happens, if it lands

	For time.Duration // how long a fault lasts, or what follows waits
}

// A verdict is what a source says, and what it does.
type verdict uint8

const (
	done     verdict = iota
	refused          // surely not, by policy.ErrNotWritten
	vanished         // an error, and it never happens
	lands            // an error, and it happens later
)

// sourceSettle is how long scripts give a write of the source whose outcome is unknown.
const sourceSettle = 400 * time.Millisecond

// A script is what happens in one run.
type script struct {
	Seed     uint64
	Keys     int // all but the first two have stripes of their own
	Soft     time.Duration
	Negative bool // absent values are cached
	Through  bool // the cache writes the source: set and delete are its own
	Rewinds  bool // the remote tier may come back with older data
	Refuse   bool // the source is not written without a fence
	Rides    bool // announcements travel with writes, as where store and bus are one server
	Logged   bool // what a node has to repair outlasts its death
	Signed   bool // the bus knows its own
	Lossy    bool // the bus may lose and reorder single messages
	Resends  bool // clients repeat whatever they send, which none of ours does
	Exact    bool // calls take a fixed time: for scripts made by hand
	Items    []item
}

func (s *script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d keys, soft TTL %v, negative %t, through %t, refuse %t, rewinds %t, rides %t, logged %t, signed %t, lossy %t\n",
		s.Seed, s.Keys, s.Soft, s.Negative, s.Through, s.Refuse, s.Rewinds, s.Rides, s.Logged, s.Signed, s.Lossy)
	for _, it := range s.Items {
		fmt.Fprintf(&b, "\t%v\n", it)
	}
	return b.String()
}

func (it item) String() string {
	s := fmt.Sprintf("%10.3f  N%d %s k%d for %v", millis(it.At), it.Node, it.Op, it.Key, it.For)
	if it.SlowCall > 0 {
		s += fmt.Sprintf(", call %d slow by %v (reply %t)", it.SlowCall, it.SlowBy, it.SlowReply)
	}
	if it.LostCall > 0 {
		s += fmt.Sprintf(", call %d lost (%s)", it.LostCall, map[bool]string{true: "there", false: "back"}[it.Seed%2 == 0])
	}
	if it.Source != done {
		s += fmt.Sprintf(", the source says %d, lands after %v", it.Source, it.SourceLate)
	}
	if it.CrashCall > 0 {
		s += fmt.Sprintf(", crash at call %d", it.CrashCall)
	}
	for name, d := range map[string]time.Duration{"slow load": it.SlowLoad, "repeats after": it.Repeat, "patience": it.Patience} {
		if d > 0 {
			s += fmt.Sprintf(", %s %v", name, d)
		}
	}
	return s
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// generate makes the script of a seed.
func generate(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 7))
	s := &script{
		Seed: seed, Keys: pick(r, 1, 1, 2, 3), Soft: pick(r, 0, 0, 150*time.Millisecond), Negative: r.IntN(2) == 0, Lossy: r.IntN(2) == 0,
	}
	ops := []op{get, get, get, get, get, getMany, skipLocal, peek, fresh, pick(r, fresh, allowStale), invalidate, invalidate, invalidate, remove}
	s.Through, s.Refuse, s.Rewinds = r.IntN(3) == 0, r.IntN(2) == 0, r.IntN(4) == 0
	if s.Through {
		ops = append(ops, set, set, set, within)
	}
	apart := rand.New(rand.NewPCG(seed, 8)) // of the bus's server, or with it; one that signs announces by itself
	s.Logged, s.Signed, s.Rides = apart.IntN(2) == 0, false, apart.IntN(2) == 0
	if !s.Rides {
		s.Signed = apart.IntN(2) == 0
	}
	kind := r.IntN(7)
	if s.Through && kind < 3 {
		kind = 0 // what Delete leaves there has no tags
	}
	switch kind {
	case 5:
		ops = append(ops, within, within, within)
	case 0:
		ops = append(ops, clear, expire, prefix)
	case 1:
		ops = append(ops, tag, tag, tag, clear)
	case 2:
		ops = append(ops, tag, tag, clear, set, set)
	case 3, 4:
		ops = append(ops, set, set, set, expire)
	}
	for range 8 + r.IntN(18) {
		s.Items = append(s.Items, s.operation(r, pick(r, ops...)))
	}
	faults := []op{pause, crash, cutRemote, cutBus, hole, lose, downtime, busLose, busDown, forget, evict}
	if s.Rewinds {
		faults = slices.DeleteFunc(faults, func(o op) bool { return o == busLose }) // together they are more than is promised
		faults = append(faults, restore, restore)
	}
	if s.Lossy {
		faults = append(faults, drop, drop, swap, repeat)
	}
	for range r.IntN(6) {
		it := item{
			At: s.moment(r), Node: r.IntN(nodes), Op: pick(r, faults...), Key: r.IntN(s.Keys), Seed: r.Uint64(), For: ms(20 + r.IntN(700)),
		}
		s.Items = append(s.Items, it)
	}
	if s.Logged && apart.IntN(3) == 0 {
		s.Items = append(s.Items, s.deathInDebt(apart)...)
	}
	slices.SortStableFunc(s.Items, func(a, b item) int { return int(a.At - b.At) })
	return s
}

// moment is when something happens: often near something else, as races need neighbours.
func (s *script) moment(r *rand.Rand) time.Duration {
	if len(s.Items) > 0 && r.IntN(2) == 0 {
		return max(begin, s.Items[r.IntN(len(s.Items))].At+ms(r.IntN(60)-20))
	}
	return begin + time.Duration(r.Int64N(int64(healed-begin-200*time.Millisecond)))
}

// deathInDebt are faults that befall an operation so that its node cannot bring it about before it dies: a log is for that alone,
// and it is rare by chance.
func (s *script) deathInDebt(r *rand.Rand) []item {
	of := s.Items[r.IntN(len(s.Items))]
	return []item{
		{At: max(begin, of.At-ms(5)), Node: of.Node, Op: pick(r, cutRemote, cutBus), Seed: r.Uint64(), For: ms(200 + r.IntN(200))},
		{At: of.At + ms(160+r.IntN(100)), Node: of.Node, Op: crash, Seed: r.Uint64(), For: ms(20 + r.IntN(300))},
	}
}

func (s *script) operation(r *rand.Rand, o op) item {
	it := item{At: s.moment(r), Node: r.IntN(nodes), Op: o, Key: r.IntN(s.Keys), Seed: r.Uint64(), For: ms(r.IntN(600))}
	if r.IntN(4) == 0 {
		it.SlowCall, it.SlowBy, it.SlowReply = 1+r.IntN(5), ms(pick(r, 40, 130, 300, 700, 1200)), r.IntN(3) == 0
	}
	if r.IntN(8) == 0 {
		it.LostCall = 1 + r.IntN(4)
	}
	if r.IntN(3) == 0 {
		it.SlowLoad = ms(pick(r, 40, 120, 300, 600, 1200))
	}
	if r.IntN(6) == 0 {
		it.Repeat = ms(pick(r, 20, 200, 600))
	}
	if r.IntN(12) == 0 {
		it.Patience = ms(1 + r.IntN(100))
	}
	if r.IntN(4) == 0 {
		it.Source, it.SourceLate = pick(r, refused, vanished, lands, lands), ms(pick(r, 1, 30, 120, 200))
	}
	if r.IntN(10) == 0 {
		it.CrashCall = 1 + r.IntN(6)
	}
	return it
}

// minimised drops items of s, and what befalls the others, while bad says of the rest that it is as bad.
func minimised(s *script, bad func(*script) bool) *script {
	for again := true; again; {
		again = false
		for i := 0; i < len(s.Items); i++ {
			c := *s
			c.Items = slices.Delete(slices.Clone(s.Items), i, i+1)
			if bad(&c) {
				s, again = &c, true
				i--
			}
		}
		for i := range s.Items {
			for _, simpler := range []func(*item){
				func(it *item) { it.SlowCall, it.SlowBy, it.SlowReply = 0, 0, false },
				func(it *item) { it.LostCall = 0 },
				func(it *item) { it.SlowLoad = 0 },
				func(it *item) { it.Repeat = 0 },
				func(it *item) { it.CrashCall = 0 },
				func(it *item) { it.Patience = 0 },
				func(it *item) { it.Source, it.SourceLate = done, 0 },
			} {
				c := *s
				c.Items = slices.Clone(s.Items)
				if simpler(&c.Items[i]); c.Items[i] != s.Items[i] && bad(&c) {
					s, again = &c, true
				}
			}
		}
	}
	return s
}
