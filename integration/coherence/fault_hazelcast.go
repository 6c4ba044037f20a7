package coherence

import (
	"context"
	"errors"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/hazelcastconn"
)

func (s *site) hazelcastFaults() []fault {
	return []fault{{name: "flushall-" + s.role, about: "the map of records is cleared on the members", lane: s.role, lasts: p1 / 4, play: s.clearHazelcast}}
}

func (s *site) clearHazelcast(ctx context.Context, p *playing) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	url, err := s.through(s.addr())
	if err != nil {
		return err
	}
	store, err := backend.Open(ctx, url)
	if err != nil {
		return err
	}
	defer store.Close()
	var conn *hazelcastconn.Conn
	if !store.As(&conn) {
		return errors.New("coherence: no connection to the members")
	}
	records, err := conn.Map(ctx)
	for ; err != nil && ctx.Err() == nil; records, err = conn.Map(ctx) {
		sleep(ctx, 10*time.Millisecond) // it connects in the background
	}
	if err != nil {
		return err
	}
	p.begin("%s", s.addr())
	return records.Clear(ctx)
}
