package hazelcastbus

import (
	"fmt"
	"strings"

	"github.com/strata-cache/strata/internal/hazelcastconn/relay"
	"github.com/strata-cache/strata/invalidation"
)

// DefaultName is the name of the bus of those who do not care.
const DefaultName = "bus"

// Options are the settings of a bus on Hazelcast. nil and the zero value of every field mean the default.
type Options struct {
	// Options of the bus itself.
	invalidation.Options

	// Name tells buses on one cluster apart; all nodes of a fleet use the same. Letters, digits, '-', '_', '.' and ':'.
	// Default: DefaultName.
	Name string
}

func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Name == "" {
		out.Name = DefaultName
	}
	for _, r := range out.Name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r)) {
			return out, fmt.Errorf("hazelcastbus: Options.Name is %q: only letters, digits, '-', '_', '.' and ':'", out.Name)
		}
	}
	return out, nil
}

// names are what the bus uses in the cluster: two ring buffers and a map. By their beginning the relay knows them; and the maps of
// records begin otherwise, whose configuration may evict entries.
type names struct{ log, hints, state string }

func (o *Options) names() names {
	tag := relay.BusPrefix + o.Name + "}"
	return names{log: tag + ":log", hints: tag + ":hints", state: tag + ":state"}
}
