package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// spreadTags are hash tags whose slots are spread over all primaries of a cluster of three.
func spreadTags(t testing.TB, c *server.Cluster, each int) (list []string, owners map[string]*server.Server) {
	t.Helper()
	owners = map[string]*server.Server{}
	counts := map[*server.Server]int{}
	for i := 0; len(list) < 3*each; i++ {
		tag := fmt.Sprint("t", i)
		owner, err := c.Owner(context.Background(), server.Slot("{"+tag+"}"))
		must(t, err)
		if counts[owner] < each {
			counts[owner]++
			list, owners[tag] = append(list, tag), owner
		}
	}
	return list, owners
}

func TestASlotMovesUnderLoadAndNobodyNotices(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, &server.ClusterOptions{NodeTimeout: 20 * time.Second})
	tags, _ := spreadTags(t, c, 3)
	l := startLoad(t, loadKeys(16, tags...), openStore(t, c.URL()+patient), openStore(t, c.URL()+patient))
	l.run(t, 0)

	ctx, moves := t.Context(), 0
	for i, end := 0, time.Now().Add(loadFor(t, 4*time.Second)); time.Now().Before(end) || moves < 6; i++ {
		slot, to := server.Slot("{"+tags[i%3]+"}"), c.Nodes()[(i+i/3+1)%3]
		m, err := c.BeginMigration(ctx, slot, to)
		must(t, err)
		if m == nil {
			continue // it is there
		}
		for {
			moved, err := m.MoveKeys(ctx, 3)
			must(t, err)
			if moved == 0 {
				break
			}
			l.run(t, 50*time.Millisecond) // a part of the keys here, a part there
		}
		must(t, m.Finish(ctx))
		moves++
	}
	l.run(t, time.Second)
	l.stop()
	t.Logf("%d moves", moves)
	for i, f := range l.failed(time.Time{}) {
		if i < 10 {
			t.Errorf("key %s: %v", f.key, f.err)
		}
	}
	l.report(t)
}
