package invalidation

import (
	"context"
	"testing"
	"time"
)

// closingLog closes its bus while that catches up.
type closingLog struct {
	*simLog
	closing func()
}

func (l closingLog) Replay(ctx context.Context, _ Position, _ uint64) ([][]byte, error) {
	l.closing()
	return nil, ctx.Err()
}

func TestABusThatClosesWhileItCatchesUpTrustsNothingMore(t *testing.T) {
	t.Parallel()
	l := &closingLog{simLog: &simLog{frames: map[uint64][]byte{}}}
	b := newBus(l, nil)
	l.closing = b.cancel
	node := &simNode{published: map[string]time.Time{}}
	if _, err := b.Attach("c", "", time.Second, node); err != nil {
		t.Fatal(err)
	}
	var tr tracker
	b.deliver(&tr, Delivery{Kind: Subscribed, Position: l.head})
	l.append([]byte("lost"))
	if _, _, err := b.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.deliver(&tr, l.pending[1])
	if node.trusts > 0 || tr.at.N != 0 {
		t.Errorf("trusted %d times at %v, where frame 1 is missing", node.trusts, tr.at)
	}
}
