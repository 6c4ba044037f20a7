package integration_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
	"github.com/strata-cache/strata/tier"
)

// Of writing behind, in one run: 64 goroutines that upsert one row a statement into PostgreSQL, which syncs each commit, and as many that
// write behind into the same table, through each journal, one key a call and a hundred. The journals sync, too.
//
//	go test -run xxx -bench WriteBehind -benchtime 1x ./integration       3 s each; STRATA_LOAD=60s for longer
//
// A metric of a journal is what was accepted in a second, and x how many times that is of what PostgreSQL took; drain is how long the rest
// took after the last was accepted. The last part is an open loop of 2,000 writes a second while PostgreSQL is paused for 3 s: how long a
// caller waits.
func BenchmarkWriteBehind(b *testing.B) {
	pg := servertest.Postgres(b, &server.PostgresOptions{Settings: []string{"fsync=on", "synchronous_commit=on"}})
	redis := servertest.Redis(b, &server.RedisOptions{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	db, err := sql.Open("pgx", pg.URL())
	must(b, err)
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(64)
	db.SetMaxIdleConns(64)
	_, err = db.Exec(wordsTable)
	must(b, err)
	table, err := openWords(db, true)
	must(b, err)
	d := 3 * time.Second
	if text := os.Getenv("STRATA_LOAD"); text != "" {
		d, err = time.ParseDuration(text)
		must(b, err)
	}
	var direct float64
	b.Run("PostgreSQL", func(b *testing.B) {
		for b.Loop() {
			direct = perSecond(d, 1, func(ctx context.Context, keys []int64) error {
				_, err := db.ExecContext(ctx, `INSERT INTO words VALUES ($1, $2, 1) ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value, version = words.version + 1`,
					keys[0], fmt.Sprint(rand.Uint64()))
				return err
			})
			b.ReportMetric(direct, "writes/s")
		}
	})
	for _, name := range []string{"file", "redis"} {
		open := func(b *testing.B) (*tier.Cache[int64, word], func()) {
			store, err := backend.Open(b.Context(), redis.URL()+patient)
			must(b, err)
			bus, err := redisbus.New(store, nil)
			must(b, err)
			var j journal.Journal
			if name == "file" {
				j, err = filejournal.Open(filepath.Join(b.TempDir(), "words.journal"), nil)
			} else {
				j, err = redisjournal.New(store, nil)
			}
			must(b, err)
			c, err := tier.New("words-"+name, &tier.Options[int64, word]{Remote: store, Bus: bus, Policy: policy.WriteBehind[int64, word](table, j, &journal.Options{
				Bound: 50_000, BatchSize: 2048, DrainTimeout: time.Minute,
			})})
			must(b, err)
			return c, func() {
				must(b, c.Close())
				j.Close()
				bus.Close()
				store.Close()
			}
		}
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d", name, batch), func(b *testing.B) {
				for b.Loop() {
					c, end := open(b)
					n := perSecond(d, batch, func(ctx context.Context, keys []int64) error {
						values := make(map[int64]word, len(keys))
						for _, k := range keys {
							values[k] = word{fmt.Sprint(rand.Uint64())}
						}
						return c.SetMany(ctx, values)
					})
					began := time.Now()
					end()
					b.ReportMetric(n, "writes/s")
					b.ReportMetric(n/direct, "x")
					b.ReportMetric(time.Since(began).Seconds(), "s-drain")
				}
			})
		}
		b.Run(name+"/paused", func(b *testing.B) {
			for b.Loop() {
				c, end := open(b)
				took := openLoop(b, pg, c)
				end()
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
				b.ReportMetric(float64(len(took)), "writes")
			}
		})
	}
}

// perSecond has 64 goroutines call write with so many of 20,000 keys for d, and returns how many keys were written in a second.
func perSecond(d time.Duration, batch int, write func(ctx context.Context, keys []int64) error) float64 {
	var n atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for range 64 {
		group.Go(func() {
			keys := make([]int64, batch)
			for time.Since(began) < d {
				for i := range keys {
					keys[i] = rand.Int64N(20_000)
				}
				if err := write(context.Background(), keys); err != nil {
					panic(err)
				}
				slices.Sort(keys)
				n.Add(int64(len(slices.Compact(slices.Clone(keys)))))
			}
		})
	}
	group.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

// openLoop sets 2,000 keys a second for 6 s, whatever becomes of the earlier ones, while PostgreSQL is paused from the second second to the
// fifth, and returns how long each took from when it was due, sorted.
func openLoop(b *testing.B, pg *server.Server, c *tier.Cache[int64, word]) []time.Duration {
	const rate, seconds = 2000, 6
	took := make([]time.Duration, rate*seconds)
	var group sync.WaitGroup
	began := time.Now()
	for i := range took {
		due := began.Add(time.Duration(i) * time.Second / rate)
		time.Sleep(time.Until(due)) // the load's own clock
		switch i {
		case rate:
			group.Go(func() { must(b, pg.Pause()) })
		case 4 * rate:
			group.Go(func() { must(b, pg.Resume()) })
		}
		group.Go(func() {
			if err := c.Set(context.Background(), rand.Int64N(20_000), word{"x"}); err != nil {
				panic(err)
			}
			took[i] = time.Since(due)
		})
	}
	group.Wait()
	slices.Sort(took)
	return took
}
