package tier

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/invalidation"
)

// A testimony is what a cache leaves in the remote tier about how much of it the server has taken in, so that a server that
// comes back with older data tells by itself what it lacks. It is one record beside the cache's keys, changed by Swap only.
//
// A server applies what it is sent in one order. So where the testimony is found that vouches for position p, everything is
// found that had happened to the server before: the effects of all that was announced up to p, since they were acknowledged
// before they were announced. What was announced after it, and before the server began its new life, may be lost: that is a
// rewind. A value that was loaded before its end is not used until some node, which heard all that was announced in
// between, has deleted those keys again and vouches for the rest. Until then, and for good if nobody can, such values are
// dead: they are loaded anew and replaced.
type testimony struct {
	// Lives are the identities of the servers for which it speaks, by their names.
	Lives map[string]string `json:"lives"`

	// Eras are the bus's incarnations in the order in which they were seen to be current, the present one last.
	Eras []era `json:"eras"`

	// Floor: what was loaded before it is dead.
	Floor place `json:"floor"`

	// Upto is where the log was, at least, when this was written. It holds only if the server was the one that the writer
	// took it for. Sure is that of the testimony in whose place this one was put, which the server must have had: there it
	// holds whoever the server was. Zero: for nothing.
	Upto place `json:"upto"`
	Sure place `json:"sure"`

	// Rewind is the last one, nil for none.
	Rewind *rewind `json:"rewind,omitempty"`
}

// A rewind is the part of the log whose effects a server may have lost.
type rewind struct {
	After   place `json:"after"` // all up to here is there
	Through place `json:"through"`
	Vouched bool  `json:"vouched,omitempty"`
}

// maxEras is how many incarnations a testimony names. What is of an older one counts as before everything.
const maxEras = 8

// testimonyTTL is how long a testimony is kept when nobody renews it. What it is missing from has to be loaded anew.
const testimonyTTL = 7 * 24 * time.Hour

// before reports whether p is not certainly at or after x.
func (t *testimony) before(p, x invalidation.Position) bool {
	if order, ok := p.Compare(x); ok {
		return order < 0
	}
	return slices.Index(t.Eras, era(p.Incarnation)) <= slices.Index(t.Eras, era(x.Incarnation))
}

// dead reports whether a value that was loaded at p must not be used.
func (t *testimony) dead(p invalidation.Position) bool {
	return t.before(p, t.Floor.Position) || t.open() && t.before(p, t.Rewind.Through.Position)
}

// open reports whether nobody has vouched for the last rewind.
func (t *testimony) open() bool { return t.Rewind != nil && !t.Rewind.Vouched }

// current reports whether incarnation i is the present one.
func (t *testimony) current(i invalidation.Incarnation) bool {
	return len(t.Eras) > 0 && t.Eras[len(t.Eras)-1] == era(i)
}

// covers reports whether t speaks for all of these servers.
func (t *testimony) covers(lives map[string]string) bool {
	for server, identity := range lives {
		if t.Lives[server] != identity {
			return false
		}
	}
	return true
}

// A testimony is never changed: what follows makes new ones.

// firstTestimony is that of a server which has none: nothing is known of what it holds. head is where the log is now.
func firstTestimony(lives map[string]string, head invalidation.Position) testimony {
	t := testimony{Lives: maps.Clone(lives), Floor: place{head}, Upto: place{head}}
	return t.during(head.Incarnation)
}

// rewound is t after a server began another life. head is where the log is now.
func (t testimony) rewound(lives map[string]string, head invalidation.Position) testimony {
	if t.open() {
		t = t.floored() // nobody could vouch
	}
	t.Rewind = nil
	one := len(lives) == 1 && len(t.Lives) == 1
	for server := range lives {
		one = one && t.Lives[server] != ""
	}
	if !one {
		t.Sure = place{} // several servers: this speaks of the order of one only
	}
	if t.Sure.IsZero() {
		t.Floor = place{head}
	} else {
		t.Rewind = &rewind{After: t.Sure, Through: place{head}}
	}
	t.Lives = maps.Clone(t.Lives)
	maps.Copy(t.Lives, lives)
	t.Upto = place{head}
	return t.during(head.Incarnation)
}

// floored is t when it is known that what may have been lost cannot be deleted again key by key.
func (t testimony) floored() testimony {
	t.Floor, t.Rewind = t.Rewind.Through, nil
	return t
}

// vouched is t when somebody has deleted again what may have been lost. head is where the log is now.
func (t testimony) vouched(head invalidation.Position) testimony {
	r := *t.Rewind
	r.Vouched = true
	t.Rewind = &r
	t.Upto, t.Sure = place{head}, r.After // the deletions were announced by nobody: only Upto, when it is sure, covers them
	return t
}

// pulsed is t in the place of itself, on a server that has taken in what was announced up to p.
func (t testimony) pulsed(p invalidation.Position) testimony {
	t.Upto, t.Sure = place{p}, t.Upto
	return t
}

// during is t in incarnation i of the bus.
func (t testimony) during(i invalidation.Incarnation) testimony {
	if t.current(i) {
		return t
	}
	t.Eras = append(slices.Clone(t.Eras), era(i))
	if more := len(t.Eras) - maxEras; more > 0 {
		t.Eras = t.Eras[more:]
	}
	return t
}

// record returns the record that holds t at a key, and its token. Its body is JSON, and a checksum in 8 bytes.
func (t *testimony) record(key string) ([]byte, record.Token) {
	body, _ := json.Marshal(t) // strings and numbers: it cannot fail
	body = binary.BigEndian.AppendUint64(body, sumOf(body, key))
	h := record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(testimonyTTL)}
	return record.New(h, body), h.Token
}

// readTestimony reads the record at a key; it reports false for what is none.
func readTestimony(b []byte, key string) (t testimony, token record.Token, ok bool) {
	h, body, ok := record.Parse(b)
	end := len(body) - 8
	if !ok || h.Kind != record.Value || end < 0 || binary.BigEndian.Uint64(body[end:]) != sumOf(body[:end], key) ||
		json.Unmarshal(body[:end], &t) != nil || len(t.Eras) == 0 || t.Lives == nil {
		return testimony{}, h.Token, false
	}
	return t, h.Token, true
}

// An era is an incarnation of the bus, in hexadecimal.
type era invalidation.Incarnation

func (e era) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(e[:])), nil }

func (e *era) UnmarshalText(text []byte) error {
	if len(text) != 2*len(e) {
		return fmt.Errorf("an incarnation of %d digits", len(text))
	}
	_, err := hex.Decode(e[:], text)
	return err
}

// A place is a position as text: incarnation/n, "" for none.
type place struct{ invalidation.Position }

func (p place) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, nil
	}
	return fmt.Appendf(nil, "%x/%d", p.Incarnation[:], p.N), nil
}

func (p *place) UnmarshalText(text []byte) error {
	*p = place{}
	if len(text) == 0 {
		return nil
	}
	incarnation, n, _ := strings.Cut(string(text), "/")
	if err := (*era)(&p.Incarnation).UnmarshalText([]byte(incarnation)); err != nil {
		return err
	}
	var err error
	p.N, err = strconv.ParseUint(n, 10, 64)
	return err
}
