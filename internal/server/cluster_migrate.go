package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Slot is the hash slot of a key: CRC16 of what is between its first { and the } after it, or of the whole.
func Slot(key string) int {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % Slots
}

// A Migration moves one slot between two primaries. Until Finish, the source answers ASK for keys that it no longer has,
// and TRYAGAIN for several keys of which it has some.
type Migration struct {
	cluster  *Cluster
	slot     int
	from, to *Server
	toID     string
}

// Migrate moves a slot with all its keys to another primary. A slot that is there already stays.
func (c *Cluster) Migrate(ctx context.Context, slot int, to *Server) error {
	m, err := c.BeginMigration(ctx, slot, to)
	if err != nil || m == nil {
		return err
	}
	for {
		moved, err := m.MoveKeys(ctx, 10)
		if err != nil {
			return err
		}
		if moved == 0 {
			return m.Finish(ctx)
		}
	}
}

// BeginMigration opens the move of a slot to another primary: from now on, new keys come into being there. It returns nil
// for a slot that is there already.
func (c *Cluster) BeginMigration(ctx context.Context, slot int, to *Server) (*Migration, error) {
	from, err := c.Owner(ctx, slot)
	if err != nil || from == to {
		return nil, err
	}
	fromID, err := asText(c.admin().ask(ctx, from.Addr(), "CLUSTER", "MYID"))
	if err != nil {
		return nil, fmt.Errorf("server: migrate: %w", err)
	}
	toID, err := asText(c.admin().ask(ctx, to.Addr(), "CLUSTER", "MYID"))
	if err != nil {
		return nil, fmt.Errorf("server: migrate: %w", err)
	}
	m := &Migration{cluster: c, slot: slot, from: from, to: to, toID: toID}
	// The target first: a client that is sent there must be let in.
	if err := m.setSlot(ctx, to, "IMPORTING", fromID); err != nil {
		return nil, err
	}
	return m, m.setSlot(ctx, from, "MIGRATING", toID)
}

// MoveKeys moves at most n keys and says how many there were. None left means that Finish is due.
func (m *Migration) MoveKeys(ctx context.Context, n int) (int, error) {
	c, err := m.cluster.admin().connect(ctx, m.from.Addr(), 15*time.Second)
	if err != nil {
		return 0, fmt.Errorf("server: migrate: %w", err)
	}
	defer c.Close()
	keys, err := asTexts(c.do("CLUSTER", "GETKEYSINSLOT", fmt.Sprint(m.slot), fmt.Sprint(n)))
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	host, port, _ := strings.Cut(m.to.Addr(), ":")
	args := []string{"MIGRATE", host, port, "", "0", "5000"}
	if password := m.cluster.opts.Node.Password; password != "" {
		args = append(args, "AUTH", password)
	}
	if _, err := c.do(append(append(args, "KEYS"), keys...)...); err != nil {
		return 0, fmt.Errorf("server: migrate slot %d: %w", m.slot, err)
	}
	return len(keys), nil
}

// Finish gives the slot to its new owner and tells every running node. No key may be left behind.
func (m *Migration) Finish(ctx context.Context) error {
	// The new owner first, and the old one next: were it the other way round, a client could be sent in circles.
	told := []*Server{m.to, m.from}
	for _, n := range told {
		if err := m.setSlot(ctx, n, "NODE", m.toID); err != nil {
			return err
		}
	}
	for _, n := range running(m.cluster.nodes) {
		if n == m.to || n == m.from {
			continue
		}
		// A replica refuses, and learns it from its primary.
		var refused redisError
		if err := m.setSlot(ctx, n, "NODE", m.toID); err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	return nil
}

func (m *Migration) setSlot(ctx context.Context, n *Server, args ...string) error {
	_, err := m.cluster.admin().ask(ctx, n.Addr(), append([]string{"CLUSTER", "SETSLOT", fmt.Sprint(m.slot)}, args...)...)
	if err != nil {
		return fmt.Errorf("server: migrate slot %d at %s: %w", m.slot, n.Addr(), err)
	}
	return nil
}
