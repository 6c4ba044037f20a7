package relay

import (
	"encoding/binary"
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
		tame(m)
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

// tame replaces the values of a message that are neither strings nor byte strings whose length is right. An integer, the
// number of the type, takes their place: the library allocates what a length says, and for some types it asks the cluster,
// without a deadline, how they are made up.
func tame(m *message) {
	clean := true
	for _, f := range m.frames[1:] {
		clean = clean && (!f.plain() || harmless(f.content))
	}
	if clean {
		return
	}
	raw := appendFrame(make([]byte, 0, len(m.raw)), m.frames[0].flags, m.frames[0].content)
	for _, f := range m.frames[1:] {
		content := f.content
		if f.plain() && !harmless(content) {
			content = integer(valueType(content))
		}
		raw = appendFrame(raw, f.flags, content)
	}
	m.raw, m.frames = raw, nil
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

func harmless(b []byte) bool {
	if len(b) < valueHeader+4 {
		return false
	}
	switch valueType(b) {
	case typeString, typeBytes:
		n := int64(int32(binary.BigEndian.Uint32(b[valueHeader:])))
		return n >= 0 && n == int64(len(b)-valueHeader-4)
	case typeInt:
		return true
	}
	return false
}
