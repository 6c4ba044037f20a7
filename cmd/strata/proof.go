package main

import (
	"context"
	"fmt"
	"time"
)

// proof is one invalidation under a magnifying glass, after the traffic.
type proof struct {
	Product    int64        `json:"product"`
	ChangedBy  int          `json:"changed_by"`  // node, from 1
	OldVersion int64        `json:"old_version"` // that all nodes had in memory
	NewVersion int64        `json:"new_version"`
	Nodes      []proofOfOne `json:"nodes"`
}

// proofOfOne is what one node did with it.
type proofOfOne struct {
	Node      int     `json:"node"`       // from 1
	OldReads  int     `json:"old_reads"`  // that began after the invalidation had returned and saw the old product
	NewAfter  float64 `json:"new_ms"`     // when the first read of the new product began, after the invalidation returned
	ServedOld bool    `json:"served_old"` // it still saw the old product when the bound had passed
}

// prove makes all nodes hold a product, changes it on the first, and asks each until it has the new one.
func (d *demo) prove(ctx context.Context, id int64) (*proof, error) {
	p := &proof{Product: id, ChangedBy: 1, Nodes: make([]proofOfOne, len(d.peers))}
	if err := d.each(func(i int, peer *peer) error {
		_, err := peer.ask(ctx, request{Read: &id})
		return err
	}); err != nil {
		return nil, err
	}
	before, err := d.peers[0].ask(ctx, request{Read: &id})
	if err != nil {
		return nil, err
	}
	changed, err := d.peers[0].ask(ctx, request{Change: &id})
	if err != nil {
		return nil, fmt.Errorf("the last invalidation: %w", err)
	}
	p.OldVersion, p.NewVersion = before.Version, changed.Version
	d.changes = append(d.changes, change{node: 0, id: id, version: changed.Version, returned: changed.At})
	return p, d.each(func(i int, peer *peer) error {
		one := proofOfOne{Node: i + 1}
		for {
			a, err := peer.ask(ctx, request{Read: &id})
			if err != nil {
				return err
			}
			after := time.Duration(a.At - changed.At)
			if a.Version >= changed.Version {
				one.NewAfter = float64(after.Microseconds()) / 1000
				break
			}
			one.OldReads++
			if after > d.flags.maxStaleness {
				one.ServedOld = true
				break
			}
		}
		p.Nodes[i] = one
		return nil
	})
}
