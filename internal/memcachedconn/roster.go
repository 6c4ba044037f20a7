package memcachedconn

import (
	"math"
	"time"
)

// A roster is a list as calls need it. It does not change.
type roster struct {
	list    list
	members []member // by name, at least one
	left    []member
}

type member struct {
	*Server // nil for one that left
	seed    uint64
	since   tenancy
}

// newRoster takes the Server of each member from server.
func newRoster(l list, server func(name string) *Server) *roster {
	r := &roster{list: l}
	for _, name := range l.servers() {
		r.members = append(r.members, member{Server: server(name), seed: mix(hash(name)), since: l.Members[name]})
	}
	for name, since := range l.Left {
		r.left = append(r.left, member{seed: mix(hash(name)), since: since})
	}
	return r
}

// place returns the server that owns key and the tenancy in which it does: the one with the highest score, since it was
// added, or since the last one with a higher score left. It depends on the names of the servers and on the key's braced
// part only. Where scores are equal, the server first by name wins.
func (r *roster) place(key string) (*Server, tenancy) {
	best := &r.members[0]
	if len(r.members) == 1 && len(r.left) == 0 {
		return best.Server, best.since
	}
	k := hash(braced(key))
	highest := mix(k ^ best.seed)
	for i := 1; i < len(r.members); i++ {
		if score := mix(k ^ r.members[i].seed); score > highest {
			best, highest = &r.members[i], score
		}
	}
	since := best.since
	for i := range r.left {
		if gone := &r.left[i]; gone.since.Epoch > since.Epoch && mix(k^gone.seed) >= highest {
			since = gone.since
		}
	}
	return best.Server, since
}

func (r *roster) has(s *Server) bool {
	for i := range r.members {
		if r.members[i].Server == s {
			return true
		}
	}
	return false
}

// A standing is what a node knows of its pool. It does not change: each news makes another one.
type standing struct {
	roster  *roster         // nil: not known yet
	until   time.Duration   // mono: how long the node may go on without news
	cut     map[string]bool // servers of the roster not to be used
	pending bool            // a change is under way
	waits   time.Duration   // for which it waits for nodes that may use an older list; 0: for nobody
	err     error           // why there is no news
	news    chan struct{}   // closed when there is another standing
}

func fixed(r *roster) *standing { return &standing{roster: r, until: math.MaxInt64} }
