package sqlstore

import (
	"slices"
	"testing"
)

func TestStatementsForPostgresHaveFewSizes(t *testing.T) {
	t.Parallel()
	sizes := map[int]bool{}
	for n := range 513 {
		rows := make([]row, n)
		for i := range rows {
			rows[i].version = i
		}
		var got []row
		parts := 0
		for part := range rounded(Postgres, chunks(rows, 65535)) {
			got = append(got, part...)
			sizes[len(part)] = true
			parts++
		}
		if parts > 3 || len(got) != n || !slices.IsSortedFunc(got, func(a, b row) int { return a.version.(int) - b.version.(int) }) {
			t.Fatalf("%d rows in %d parts: %d", n, parts, len(got))
		}
		if n == 0 {
			continue
		}
		full := filled(Postgres, rows, 65535)
		if len(full) < n || len(full) > n*5/4 || round(len(full)) != len(full) || full[len(full)-1].version != n-1 {
			t.Fatalf("%d keys became %d", n, len(full))
		}
	}
	if len(sizes) > 36 {
		t.Errorf("%d sizes", len(sizes))
	}
	if round(500) != 448 || round(512) != 512 || round(7) != 7 || round(9) != 8 {
		t.Error(round(500), round(9))
	}
}
