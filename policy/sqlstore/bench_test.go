package sqlstore_test

import (
	"fmt"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
)

// BenchmarkStoreMany updates rows of 20,000, each time with new versions, in batches of one size or of all below it.
func BenchmarkStoreMany(b *testing.B) {
	type tick struct {
		Symbol string  `db:"symbol"`
		Bid    float64 `db:"bid"`
		Ask    float64 `db:"ask"`
	}
	for d, open := range opens {
		for _, rows := range []int{1, 50, 500} {
			for _, varied := range []bool{false, true} {
				b.Run(fmt.Sprintf("db=%v/rows=%d/varied=%t", d, rows, varied), func(b *testing.B) {
					db := inSchema(b, d, open(b))
					db.create(b, "ticks", "id bigint PRIMARY KEY, symbol varchar(20), bid double precision, ask double precision, version bigint NOT NULL")
					s := source[int64, tick](b, db, sqlstore.Options{Table: "ticks", Key: "id", Version: "version"})
					version, written := 0, 0
					b.ResetTimer()
					for i := range b.N {
						n := rows
						if varied {
							n = 1 + i*7919%rows
						}
						changes := make([]policy.Change[int64, tick], n)
						for j := range changes {
							version++
							changes[j] = policy.Change[int64, tick]{Key: int64(version * 7919 % 20000), Version: uint64(version), Value: tick{"EURUSD", 1.0, 2.0}}
						}
						servertest.Require(b, s.StoreMany(b.Context(), changes))
						written += n
					}
					b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "rows/s")
				})
			}
		}
	}
}
