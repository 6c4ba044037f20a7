package sqlstore

import (
	"iter"
	"math/bits"
	"slices"
	"strconv"
)

const (
	// conditions is how many keys are compared one by one in a statement.
	conditions = 500

	// bytesAtOnce is how many bytes of parameters a statement has before another is begun: MariaDB refuses packets of 16 MiB.
	bytesAtOnce = 4 << 20
)

// most is how many keys a statement has, which is by one parameter longer for each where it compares versions.
func (t *table[K, V]) most(checked bool) int {
	switch {
	case t.d == SQLite:
		return t.d.most() / (len(t.keys) + 1)
	case checked || len(t.keys) > 1:
		return conditions
	}
	return t.d.most()
}

// those appends the condition that a row is of one of the keys.
func (t *table[K, V]) those(q *query, keys [][]any) {
	switch {
	case len(t.keys) == 1:
		q.add(t.d.quote(t.keys[0].name), " IN (")
		q.list(len(keys), ", ", func(i int) { q.arg(keys[i][0]) })
		q.add(")")
	case t.d == SQLite: // which has bounds of depth, and little patience, with many conditions
		t.columnsOfKey(q.add("("), "").add(") IN (VALUES ")
		q.list(len(keys), ", ", func(i int) { q.tuple(keys[i]) })
		q.add(")")
	default:
		q.add("(")
		q.list(len(keys), " OR ", func(i int) { t.that(q, keys[i]).add(")") })
		q.add(")")
	}
}

// that appends the condition that a row is of the key, and leaves it open for another.
func (t *table[K, V]) that(q *query, key []any) *query {
	return q.add("(").list(len(key), " AND ", func(i int) { q.add(t.d.quote(t.keys[i].name), " = ").arg(key[i]) })
}

// columnsOfKey appends them.
func (t *table[K, V]) columnsOfKey(q *query, of string) *query {
	return q.list(len(t.keys), ", ", func(i int) { q.add(of, t.d.quote(t.keys[i].name)) })
}

// deletes appends the statements that delete rows; where checked, only those of a smaller version.
func (t *table[K, V]) deletes(out []Statement, rows []row, checked bool) []Statement {
	for chunk := range chunks(sorted(rows), t.most(checked)) {
		chunk = filled(t.d, chunk, t.most(checked))
		q := &query{d: t.d}
		q.add("DELETE FROM ", t.name, " WHERE ")
		switch {
		case !checked:
			keys := make([][]any, len(chunk))
			for i := range chunk {
				keys[i] = chunk[i].key
			}
			t.those(q, keys)
		case t.d == SQLite:
			t.columnsOfKey(q.add("("), "").add(") IN (SELECT ")
			t.columnsOfKey(q, "stored.").add(" FROM (VALUES ")
			q.list(len(chunk), ", ", func(i int) { q.tuple(append(chunk[i].key, chunk[i].version)) })
			q.add(") AS given CROSS JOIN ", t.name, " AS stored ON ")
			q.list(len(t.keys), " AND ", func(i int) { q.add("stored.", t.d.quote(t.keys[i].name), " = given.column", strconv.Itoa(i+1)) })
			q.add(" WHERE COALESCE(stored.", t.d.quote(t.o.Version), ", 0) < given.column", strconv.Itoa(len(t.keys)+1), ")")
		default:
			version := t.d.quote(t.o.Version)
			q.list(len(chunk), " OR ", func(i int) {
				t.that(q, chunk[i].key).add(" AND COALESCE(", version, ", 0) < ").arg(chunk[i].version).add(")")
			})
		}
		out = append(out, q.statement())
	}
	return out
}

// upserts appends the statements that insert or update rows with these columns of the value; where checked, only those of a smaller
// version. Where deleted, they become what is left of a deleted row.
func (t *table[K, V]) upserts(out []Statement, rows []row, columns []column, checked, deleted bool) []Statement {
	each := len(t.keys) + len(columns)
	if t.o.Version != "" {
		each++
	}
	for chunk := range rounded(t.d, chunks(sorted(rows), t.d.most()/each)) {
		q := &query{d: t.d}
		q.add("INSERT INTO ", t.name)
		if t.d != MariaDB {
			q.add(" AS stored")
		}
		q.add(" (")
		t.columnsOfKey(q, "")
		for _, c := range columns {
			q.add(", ", t.d.quote(c.name))
		}
		if t.o.Version != "" {
			q.add(", ", t.d.quote(t.o.Version))
		}
		if t.o.Deleted != "" {
			q.add(", ", t.d.quote(t.o.Deleted))
		}
		q.add(") VALUES ")
		q.list(len(chunk), ", ", func(i int) {
			q.add("(")
			q.list(len(chunk[i].key), ", ", func(j int) { q.arg(chunk[i].key[j]) })
			for _, v := range chunk[i].values {
				q.add(", ").arg(v)
			}
			if t.o.Version != "" {
				q.add(", ").arg(chunk[i].version)
			}
			if t.o.Deleted != "" {
				q.add(", ", truth(deleted))
			}
			q.add(")")
		})
		if t.d == MariaDB {
			t.onDuplicate(q, columns, checked, deleted)
		} else {
			t.onConflict(q, columns, checked, deleted)
		}
		out = append(out, q.statement())
	}
	return out
}

// onConflict appends what PostgreSQL and SQLite are to do with a row that is there.
func (t *table[K, V]) onConflict(q *query, columns []column, checked, deleted bool) {
	q.add(" ON CONFLICT (")
	t.columnsOfKey(q, "").add(") DO ")
	if len(columns) == 0 && t.o.Version == "" {
		q.add("NOTHING") // a row is its key
		return
	}
	q.add("UPDATE SET ")
	for _, c := range columns {
		q.add(t.d.quote(c.name), " = excluded.", t.d.quote(c.name))
		if c.name != columns[len(columns)-1].name || t.o.Version != "" {
			q.add(", ")
		}
	}
	if t.o.Version == "" {
		return
	}
	version := t.d.quote(t.o.Version)
	if t.o.Deleted != "" {
		q.add(t.d.quote(t.o.Deleted), " = ", truth(deleted), ", ")
	}
	if checked {
		q.add(version, " = excluded.", version, " WHERE COALESCE(stored.", version, ", 0) < excluded.", version)
	} else {
		q.add(version, " = COALESCE(stored.", version, ", 0) + 1")
	}
}

// onDuplicate appends what MariaDB is to do with a row that is there. It knows no condition, so that each column has it, and assigns
// from left to right, so that the version comes last.
//
// It also does so with another row, if that has the same value in some other unique column, and would change that row instead of
// refusing: hence the first term, which is too large for its type unless the row is that of the key.
func (t *table[K, V]) onDuplicate(q *query, columns []column, checked, deleted bool) {
	key := t.d.quote(t.keys[0].name)
	q.add(" ON DUPLICATE KEY UPDATE ", key, " = IF(18446744073709551615 + (")
	q.list(len(t.keys), " OR ", func(i int) {
		k := t.d.quote(t.keys[i].name)
		q.add("BINARY ", k, " <> BINARY VALUES(", k, ")")
	})
	q.add(") > 0, ", key, ", ", key, ")")
	version := t.d.quote(t.o.Version)
	newer := "COALESCE(" + version + ", 0) < VALUES(" + version + ")"
	set := func(column, value string) {
		if checked {
			value = "IF(" + newer + ", " + value + ", " + column + ")"
		}
		q.add(", ", column, " = ", value)
	}
	for _, c := range columns {
		set(t.d.quote(c.name), "VALUES("+t.d.quote(c.name)+")")
	}
	if t.o.Deleted != "" {
		set(t.d.quote(t.o.Deleted), truth(deleted))
	}
	switch {
	case t.o.Version == "":
	case checked:
		set(version, "VALUES("+version+")")
	default:
		set(version, "COALESCE("+version+", 0) + 1")
	}
}

func truth(b bool) string {
	if b {
		return "TRUE"
	}
	return "FALSE"
}

// chunks yields rows in parts of at most so many, and so many bytes.
func chunks(rows []row, most int) iter.Seq[[]row] {
	return func(yield func([]row) bool) {
		begin, size := 0, 0
		for i := range rows {
			n := 0
			for _, v := range rows[i].values {
				switch v := v.(type) {
				case string:
					n += len(v)
				case []byte:
					n += len(v)
				}
			}
			if i > begin && (i-begin == most || size+n > bytesAtOnce) {
				if !yield(rows[begin:i]) {
					return
				}
				begin, size = i, 0
			}
			size += n
		}
		if begin < len(rows) {
			yield(rows[begin:])
		}
	}
}

// round returns the largest number of three binary digits and zeros that is not above n. Drivers for PostgreSQL prepare each statement
// that they have not seen, and keep hundreds; of batches of all sizes the server would hold a hundred megabytes for each connection. So
// statements have round numbers of rows, of which there are four from one power of two to the next.
func round(n int) int {
	low := max(bits.Len(uint(n))-3, 0)
	return n >> low << low
}

// filled repeats the last item, which does no harm in a condition, until their number is round.
func filled[T any](d Dialect, items []T, most int) []T {
	if d != Postgres {
		return items
	}
	out := slices.Clip(items)
	for len(out) < most && round(len(out)) != len(out) {
		out = append(out, items[len(items)-1])
	}
	return out
}

// rounded splits parts into some of round lengths: three for any below 512.
func rounded(d Dialect, parts iter.Seq[[]row]) iter.Seq[[]row] {
	if d != Postgres {
		return parts
	}
	return func(yield func([]row) bool) {
		for rows := range parts {
			for len(rows) > 0 {
				n := round(len(rows))
				if !yield(rows[:n]) {
					return
				}
				rows = rows[n:]
			}
		}
	}
}
