package invalidation

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestABoundThatIsNotToldIsTheDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n nodes
		n.missed(Incarnation{1})
		began := time.Now()
		old, err := decode(encodeHeartbeat(NodeID{7}, heartbeat{number: 1, applied: Position{Incarnation{1}, 4}}), nil, true)
		if err != nil || old.heartbeat.bound != 0 {
			t.Fatalf("a heartbeat of an older version is %v, %v", old.heartbeat, err)
		}
		n.heard(old.node, old.heartbeat, began)
		target := Position{Incarnation{1}, 5}
		if n.reached(target, began.Add(DefaultMaxStaleness-1), 0) {
			t.Error("it did not count for the default")
		}
		if !n.reached(target, began.Add(DefaultMaxStaleness), 0) {
			t.Error("it counted for longer")
		}
	})
}

func TestNodesThatNobodyCanRememberAreWaitedForAsNewOnesAre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n nodes
		n.missed(Incarnation{1})
		target := Position{Incarnation{1}, 5}
		time.Sleep(time.Minute)
		for i := range maxPeers + 1 {
			n.heard(NodeID{byte(i), byte(i >> 8), byte(i >> 16)}, heartbeat{applied: target, bound: 1 << 60}, time.Now())
		}
		if len(n.by) > maxPeers {
			t.Errorf("%d nodes are remembered", len(n.by))
		}
		if n.reached(target, time.Now(), time.Second) {
			t.Error("nodes that were forgotten were not waited for")
		}
		if !n.reached(target, time.Now().Add(time.Second), time.Second) {
			t.Error("they were waited for too long")
		}
	})
}
