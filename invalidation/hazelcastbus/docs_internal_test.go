package hazelcastbus

import (
	"context"
	"os"
	"strings"
	"testing"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"

	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

// The configuration in docs/hazelcast.md is one that members take, that is of this log, and that works.
func TestTheDocumentedConfigurationWorks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/hazelcast.md")
	servertest.Require(t, err)
	_, section, _ := strings.Cut(string(page), "## The bus")
	_, text, _ := strings.Cut(section, "```yaml\n")
	text, _, found := strings.Cut(text, "```")
	const ours = "capacity: 10000"
	if !found || !strings.Contains(text, ours) {
		t.Fatal("docs/hazelcast.md has no configuration of ring buffers")
	}
	srv := servertest.Hazelcast(t, &server.HazelcastOptions{Import: strings.Replace(text, ours, "capacity: 33", 1)})
	a := open(t, srv.URL(), DefaultName)
	at := transporttest.Subscribed(t, a)
	transporttest.Publish(t, a, "one")
	transporttest.WantFrames(t, a, at, "one")
	onLog(t, a, func(ctx context.Context, ring *hz.Ringbuffer) error {
		capacity, err := ring.Capacity(ctx)
		if capacity != 33 {
			t.Errorf("a capacity of %d: the configuration is of other ring buffers", capacity)
		}
		return err
	})
}
