package simulation

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/invalidation"
)

// A rider is an announcement on its way with a write.
type rider struct {
	ear    *ear
	frames [][]byte
}

var _ invalidation.Rideable = (*ear)(nil)

func (r *rider) Server() string { return "simulation" }

// Rider implements invalidation.Rideable, where the store and the bus are one server.
func (e *ear) Rider(_ context.Context, frames [][]byte) (invalidation.Rider, error) {
	if !e.life.w.script.Rides {
		return nil, sentinel.ErrUnsupported
	}
	return &rider{e, slices.Clone(frames)}, nil
}

// Rode implements invalidation.Rideable.
func (e *ear) Rode(reply []byte) (p invalidation.Position, err error) {
	p.N = binary.BigEndian.Uint64(reply[copy(p.Incarnation[:], reply):])
	return p, nil
}

// WriteWith implements driver.RiderWriter.
func (d *wire) WriteWith(ctx context.Context, ops []driver.Op, riders ...driver.Rider) ([]driver.Effect, [][]byte, error) {
	effects, reply := d.write(ctx, ops, riders[0].(*rider))
	return effects, [][]byte{reply}, nil
}

// arrive happens at the server, right after the write, whatever became of that. It brings nothing where the bus cannot be reached
// otherwise either.
func (r *rider) arrive() (reply []byte) {
	if r == nil {
		return nil
	}
	l := r.ear.life
	w := l.w
	w.mu.Lock()
	lost := l.node.cut[bus] > w.now() || w.down[bus] > w.now()
	w.mu.Unlock()
	if lost {
		l.log("the announcement that rode is LOST")
		return nil
	}
	p, err := r.ear.inner.Publish(context.Background(), r.frames)
	if err != nil {
		return nil
	}
	l.log("announces %d", p.N)
	return binary.BigEndian.AppendUint64(p.Incarnation[:], p.N)
}
