package main

import "sync"

// keptReads is how many of the last reads of a version are remembered. Reads of an old version end soon after it was
// invalidated, so this is more than there are; if not, the last ones are those that would be stale.
const keptReads = 256

// sightings remembers which node read which version of which product, and when. Safe for concurrent use.
type sightings struct {
	mu   sync.Mutex
	seen map[int64]map[int64]*ring // by product and version; guarded by mu
}

// ring holds the last reads.
type ring struct {
	began []int64
	next  int
}

func newSightings() *sightings { return &sightings{seen: make(map[int64]map[int64]*ring)} }

// add remembers that a read which began at that time, in Unix ns, returned version of id.
func (s *sightings) add(id, version, began int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := s.seen[id]
	if versions == nil {
		versions = make(map[int64]*ring)
		s.seen[id] = versions
	}
	r := versions[version]
	if r == nil {
		r = new(ring)
		versions[version] = r
	}
	if len(r.began) < keptReads {
		r.began = append(r.began, began)
		return
	}
	r.began[r.next] = began
	r.next = (r.next + 1) % keptReads
}

// of returns what is remembered of some products.
func (s *sightings) of(ids []int64) map[int64][]sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[int64][]sighting, len(ids))
	for _, id := range ids {
		for version, r := range s.seen[id] {
			out[id] = append(out[id], sighting{Version: version, Began: r.began})
		}
	}
	return out
}

// change is an invalidation that returned without an error.
type change struct {
	node     int
	id       int64
	version  int64
	returned int64 // Unix ns
}

// judge counts the reads of a node that began after a change had returned and saw an older version. Those that began more
// than bound later are stale; so are all that the changing node made itself. Others are late: older, within the bound.
func judge(node int, seen map[int64][]sighting, changes []change, bound int64) (stale, late int) {
	byProduct := make(map[int64][]change)
	for _, c := range changes {
		byProduct[c.id] = append(byProduct[c.id], c)
	}
	for id, list := range seen {
		for _, s := range list {
			for _, began := range s.Began {
				worst := 0
				for _, c := range byProduct[id] {
					switch {
					case s.Version >= c.version || began <= c.returned:
					case began > c.returned+bound, c.node == node:
						worst = 2
					default:
						worst = max(worst, 1)
					}
				}
				switch worst {
				case 2:
					stale++
				case 1:
					late++
				}
			}
		}
	}
	return stale, late
}
