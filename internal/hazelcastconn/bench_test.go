package hazelcastconn_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/servertest"
)

// BenchmarkGet compares reads through the relay with those of the library alone, of 100 bytes.
func BenchmarkGet(b *testing.B) {
	srv := servertest.SharedHazelcast(b)
	c := open(b, through(b, srv.Addr(), "timeout=10s"), nil)
	if _, err := put(b, c, "key", strings.Repeat("v", 100)); err != nil {
		b.Fatal(err)
	}
	var config hazelcast.Config
	config.Cluster.Network.SetAddresses(srv.Addr())
	_, config.Cluster.Name, _ = strings.Cut(srv.URL(), "cluster=")
	client, err := hazelcast.StartNewClientWithConfig(b.Context(), config)
	must(b, err)
	defer client.Shutdown(context.Background())
	m, err := client.GetMap(b.Context(), c.MapName())
	must(b, err)
	for relay, read := range map[string]func() error{
		"yes": func() error { _, err := get(b, c, "key"); return err },
		"no": func() error {
			ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
			defer cancel()
			_, err := m.Get(ctx, "key")
			return err
		},
	} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("relay=%s/callers=%d", relay, callers), func(b *testing.B) {
				b.SetParallelism(max(1, callers/2)) // GOMAXPROCS times
				if callers == 1 {
					for b.Loop() {
						must(b, read())
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := read(); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
