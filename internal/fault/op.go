package fault

import (
	"errors"
	"fmt"
	"strings"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A Kind is a set of kinds of operations; an [Op] has one.
type Kind uint32

const (
	Get Kind = 1 << iota
	Add
	Swap
	Remove
	Place
	Leave
	Delete
	Renew
	Count
	Scan
	Stats
	Ping
	GetStale

	Reads  = Get | GetStale
	Writes = Add | Swap | Remove | Place | Leave | Delete | Renew // the verbs, riders with them or not
	Every  = GetStale<<1 - 1
)

var kindNames = [...]string{"get", "add", "swap", "remove", "place", "leave", "delete", "renew", "count", "scan", "stats", "ping", "get stale"}

func (k Kind) String() string {
	switch k {
	case Reads:
		return "reads"
	case Writes:
		return "writes"
	case Every:
		return "every"
	}
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// kindOf returns the kind of a verb.
func kindOf(v record.Verb) Kind {
	if v < record.Add || v > record.Renew {
		return 0
	}
	return Add << (v - record.Add)
}

// An Op is one operation at one key.
type Op struct {
	Kind Kind
	Key  string // as it is stored; of Scan its prefix, of Stats and Ping empty
}

// ErrInjected is the error of a fault that names none. It is ErrUnavailable too, as that of a server is.
var ErrInjected = fmt.Errorf("%w: %w", errors.New("injected"), sentinel.ErrUnavailable)
