package simulation

import "time"

// A version is a value that the source has or had at a key. Numbers are of all keys together, from 1.
type version struct {
	number int
	absent bool // the source had nothing
}

// A source is the truth, and the judge of reads.
type source struct {
	now       []version // by key
	versions  int
	committed map[int]int // version numbers, to their place in the order of commits
	absences  []int       // by key: the place of the last version that is none; 0 for none
	commits   int
	acks      [][]ack // by key
	owed      []debt
}

// A debt is a write of which the cache said that it is pending.
type debt struct {
	life    *life
	key     int
	version version
	at      time.Duration // when it was added: a read that began before may miss it
	since   time.Duration // from when its own node has to see it
	logged  bool          // its node repairs it though it dies
	fenced  time.Duration // from when a fence stood at the key that covers it, though its node may die; 0 for none
}

// never is a time that does not come.
const never = time.Hour

// An ack is a write that was acknowledged.
type ack struct {
	node, inc int
	at        time.Duration
	place     int
	version   int
}

func (s *source) init(keys int) {
	s.now, s.absences, s.acks = make([]version, keys), make([]int, keys), make([][]ack, keys)
	s.committed = map[int]int{}
	for k := range keys {
		s.commit(k, s.version(false))
	}
}

func (s *source) version(absent bool) version {
	s.versions++
	return version{number: s.versions, absent: absent}
}

// commit makes v what the source has.
func (s *source) commit(key int, v version) {
	s.commits++
	s.committed[v.number] = s.commits
	s.now[key] = v
	if v.absent {
		s.absences[key] = s.commits
	}
}

// placeOf is where what a read brought stands in the order of commits: of absence, the latest that it may be. 0 is nowhere.
func (s *source) placeOf(key int, v version) int {
	if v.absent {
		return s.absences[key]
	}
	return s.committed[v.number]
}

// acknowledged notes that a write of the life has returned without an error.
func (l *life) acknowledged(key int, v version) {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.source
	s.acks[key] = append(s.acks[key], ack{l.node.id, l.inc, w.now(), s.committed[v.number], v.number})
	w.logLocked("N%d k%d v%d ACKNOWLEDGED", l.node.id, key, v.number)
}

// owe notes that the cache of the life has to bring a write about, in the end.
func (l *life) owe(it *item, keys []int, vs []version, since time.Duration) {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, k := range keys {
		w.source.owed = append(w.source.owed, debt{life: l, key: k, version: vs[i], at: w.now(), since: since, logged: w.script.Logged && it.Op != tag})
		w.logLocked("N%d k%d v%d is PENDING", l.node.id, k, vs[i].number)
	}
}

// settleLocked judges what a read of key that began at start, in the end, brought: unless its writer has crashed, no write that was
// pending is, and not even then if the node has a log of its repairs.
func (w *world) settleLocked(l *life, key int, start time.Duration, place int) {
	for _, d := range w.source.owed {
		covered := d.fenced > 0 && w.lost < d.fenced
		if d.key == key && d.at < start && (!d.life.dead || d.logged || covered) && place < w.source.committed[d.version.number] {
			w.violateLocked("forever", "long after everything was healed N%d reads of k%d what is older than v%d, which N%d had written and has to repair",
				l.node.id, key, d.version.number, d.life.node.id)
		}
	}
}

// check judges a read that began at start.
func (l *life) check(key int, start time.Duration, v version, how op) {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.dead {
		return
	}
	place := w.source.placeOf(key, v)
	if start >= judgedAt {
		w.settleLocked(l, key, start, place)
	}
	if place == 0 {
		w.violateLocked("invented", "N%d read v%d (absent %t) of k%d, which never was", l.node.id, v.number, v.absent, key)
	}
	for _, d := range w.source.owed {
		if d.key == key && d.life == l && d.since < start && place < w.source.committed[d.version.number] {
			w.violateLocked("own write", "N%d read v%d of k%d (%s, begun at %.3f), older than its own v%d, pending since %.3f",
				l.node.id, v.number, key, how, millis(start), d.version.number, millis(d.since))
		}
	}
	for _, a := range w.source.acks[key] {
		switch {
		case place >= a.place:
		case how == fresh && a.at < start:
			w.violateLocked("not fresh", "N%d read v%d of k%d, begun at %.3f, though v%d was acknowledged by N%d at %.3f",
				l.node.id, v.number, key, millis(start), a.version, a.node, millis(a.at))
		case how != allowStale && a.at+maxStaleness < start:
			w.violateLocked("stale", "N%d read v%d of k%d (%s, begun at %.3f), though v%d was acknowledged by N%d at %.3f",
				l.node.id, v.number, key, how, millis(start), a.version, a.node, millis(a.at))
		case a.node == l.node.id && a.inc == l.inc && a.at < start:
			w.violateLocked("own write", "N%d read v%d of k%d (%s, begun at %.3f), though it had itself v%d acknowledged at %.3f",
				l.node.id, v.number, key, how, millis(start), a.version, millis(a.at))
		}
	}
}

func millis(d time.Duration) float64 { return float64(d) / 1e6 }
