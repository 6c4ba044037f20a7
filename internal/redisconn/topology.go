package redisconn

import (
	"context"
	"errors"
)

// A topology knows which server is asked for what. Its methods are called concurrently.
type topology interface {
	// known reports whether the others may be called.
	known() bool

	// await asks the servers, unless everything is known from the beginning.
	await(ctx context.Context) error

	// owner returns the primary of a slot, or nil if there is none.
	owner(slot int) *Node

	// reader returns a replica of a slot, or nil if there is none.
	reader(slot int) *Node

	// primaries returns every primary, in a fixed order.
	primaries() []*Node

	// close ends what works in the background.
	close()
}

// errNoOwner says that the cluster has nobody for some slots at present.
var errNoOwner = errors.New("no server of the cluster owns the key's slot")

// one is the topology of a single server.
type one struct{ node *Node }

func (o one) known() bool                 { return true }
func (o one) await(context.Context) error { return nil }
func (o one) owner(int) *Node             { return o.node }
func (o one) reader(int) *Node            { return nil }
func (o one) primaries() []*Node          { return []*Node{o.node} }
func (o one) close()                      {}
