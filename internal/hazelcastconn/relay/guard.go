package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
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
	ours bool // it asks for keys or values of the map of strata
}

const (
	kindError          = 0x000000
	kindAuthentication = 0x000100
	kindMembersView    = 0x000302
	kindPartitionsView = 0x000303
	kindGet            = 0x010200
	kindPutIfAbsent    = 0x010e00
	kindKeySet         = 0x012600
	answerTo           = 0x01 // added to the kind of a request
)

// asksForValues reports whether all that an answer has beside its fixed part is keys or values of the map.
func (g *guard) asksForValues(m *message) bool {
	switch m.kind() {
	case kindGet, kindPutIfAbsent, kindKeySet:
		return len(m.frames) > 1 && string(m.frames[1].content) == g.mapName
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
	if asked.ours {
		return nil, tame(m)
	}
	return nil, nil
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
func tame(m *message) error {
	foreign := false
	for _, f := range m.frames[1:] {
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
	for _, f := range m.frames[1:] {
		content := f.content
		if kind := valueType(content); f.plain() && kind != typeString && kind != typeBytes {
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
