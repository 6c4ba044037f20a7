package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A guard compares the answers of one connection with its requests.
type guard struct {
	mapName string

	mu      sync.Mutex
	waiting map[int64]request // guarded by mu
}

type request struct {
	kind int32
	ours bool // it asks for keys or values of the map of strata, or of a bus
}

// BusPrefix begins the names of the maps and ring buffers of buses.
const BusPrefix = "{strata:"

const (
	kindError          = 0x000000
	kindAuthentication = 0x000100
	kindMembersView    = 0x000302
	kindPartitionsView = 0x000303
	kindGet            = 0x010200
	kindPutIfAbsent    = 0x010e00
	kindKeySet         = 0x012600
	kindReadMany       = 0x170900
	answerTo           = 0x01 // added to the kind of a request
)

// asksForValues reports whether all that an answer has beside its fixed part is keys or values of the map, or of what a bus uses;
// that of kindReadMany has the sequences of the entries at its end.
func (g *guard) asksForValues(m *message) bool {
	switch m.kind() {
	case kindGet, kindPutIfAbsent, kindKeySet, kindReadMany:
		if len(m.frames) > 1 {
			name := string(m.frames[1].content)
			return name == g.mapName || strings.HasPrefix(name, BusPrefix)
		}
	}
	return false
}

func (g *guard) request(m *message) {
	asked := request{m.kind(), g.asksForValues(m)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[m.id()] = asked
}

// waits reports whether a request has no answer yet.
func (g *guard) waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) > 0
}

// answer checks what a member sent, and makes the values in it harmless. It returns the addresses of members that it names.
func (g *guard) answer(m *message) (members []string, err error) {
	kind := m.kind()
	if m.isEvent() {
		switch kind {
		case kindMembersView:
			return membersView(m)
		case kindPartitionsView:
			return nil, partitionsView(m)
		}
		return nil, nil
	}
	id := m.id()
	g.mu.Lock()
	asked, ok := g.waiting[id]
	delete(g.waiting, id)
	g.mu.Unlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("an answer (type %#06x) to no request", kind)
	case kind == kindError:
		return nil, failure(m)
	case kind != asked.kind|answerTo:
		return nil, fmt.Errorf("an answer of type %#06x to a request of type %#06x", kind, asked.kind)
	case kind == kindAuthentication|answerTo:
		_, err = authenticationOf(m)
		return nil, err
	}
	switch {
	case !asked.ours:
		return nil, nil
	case asked.kind == kindReadMany:
		end, err := entries(m)
		if err != nil {
			return nil, err
		}
		return nil, tame(m, end)
	}
	return nil, tame(m, len(m.frames))
}

// entries returns where the list of entries ends that an answer to kindReadMany begins with. The library takes whatever is in it
// for values.
func entries(m *message) (end int, err error) {
	c := &cursor{frames: m.frames[1:]}
	c.list(func() { c.content(0) })
	return len(m.frames) - len(c.frames), c.err()
}

// Values are 4 bytes of a hash, 4 of a type, big endian, and what the type says.
const (
	valueHeader = 8
	typeInt     = -7
	typeString  = -11
	typeBytes   = -12
)

// tame refuses strings and byte strings whose length is not that of what follows, which strata never wrote, and replaces
// the values of other types by an integer, the number of the type: the library allocates what a length says, and for some
// types it asks the cluster, without a deadline, how they are made up.
//
// The values are the frames up to end.
func tame(m *message, end int) error {
	foreign := false
	for _, f := range m.frames[1:end] {
		if !f.plain() {
			continue
		}
		switch kind := valueType(f.content); {
		case kind == typeInt && len(f.content) == valueHeader+4:
		case kind != typeString && kind != typeBytes:
			foreign = true
		case !whole(f.content):
			return errors.New("a value of another length than it says")
		}
	}
	if !foreign {
		return nil
	}
	raw := appendFrame(make([]byte, 0, len(m.raw)), m.frames[0].flags, m.frames[0].content)
	for i, f := range m.frames[1:] {
		content := f.content
		if kind := valueType(content); i+1 < end && f.plain() && kind != typeString && kind != typeBytes {
			content = integer(kind)
		}
		raw = appendFrame(raw, f.flags, content)
	}
	m.raw, m.frames = raw, nil
	return nil
}

func integer(n int32) []byte {
	kind := int32(typeInt)
	b := binary.BigEndian.AppendUint32(make([]byte, 4, valueHeader+4), uint32(kind))
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// valueType is 0 for what is too short to have one.
func valueType(b []byte) int32 {
	if len(b) < valueHeader {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b[4:]))
}

// whole reports whether a string or byte string has the length that it says.
func whole(b []byte) bool {
	return len(b) >= valueHeader+4 && int64(int32(binary.BigEndian.Uint32(b[valueHeader:]))) == int64(len(b)-valueHeader-4)
}
