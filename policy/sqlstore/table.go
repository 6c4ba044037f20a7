package sqlstore

import (
	"bytes"
	"cmp"
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/strata-cache/strata/policy"
)

// A table is the rows of a table as keys of type K and values of type V.
type table[K comparable, V any] struct {
	d       Dialect
	o       Options
	name    string   // quoted
	keys    []column // of K
	columns []column // of V, which may have the key's and the version's too
	written []column // those of columns that a change writes
	checked []column // those of columns that are the key's
	ofKey   []int    // whose of keys that is
	pointer bool     // V points to the struct
}

func newTable[K comparable, V any](d Dialect, o Options, p *problems) *table[K, V] {
	o.validate(d, p)
	t := &table[K, V]{d: d, o: o, name: d.quote(o.Table)}
	if o.Schema != "" {
		t.name = d.quote(o.Schema) + "." + t.name
	}
	k := reflect.TypeFor[K]()
	switch {
	case k.Kind() == reflect.Struct && k != typeTime && unfitKey(k) != "":
		if t.keys = columnsOf(k, p); len(t.keys) == 0 {
			p.add("the key %v is a struct without tagged fields", k)
		}
		if o.Key != "" {
			p.add("Options.Key %q: the columns of the key are those of %v", o.Key, k)
		}
	case o.Key == "":
		p.add("Options.Key is empty: which column is the key of type %v?", k)
	default:
		t.keys = []column{{name: o.Key, field: k.String()}}
	}
	for i := range t.keys {
		c := &t.keys[i]
		ft := k
		if len(c.index) > 0 {
			ft = k.FieldByIndex(c.index).Type
		}
		switch why := unfitKey(ft); {
		case why != "":
			p.add("key %s: %s", c.field, why)
		case c.json || c.readOnly:
			p.add("key %s: json and readonly are for values", c.field)
		case c.name == o.Version || c.name == o.Deleted:
			p.add("key %s: %q is the column of the version, or of what is deleted", c.field, c.name)
		}
	}
	v := reflect.TypeFor[V]()
	if t.pointer = v.Kind() == reflect.Pointer; t.pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || v == typeTime {
		p.add("the value %v is no struct, nor a pointer to one", reflect.TypeFor[V]())
		return t
	}
	if t.columns = columnsOf(v, p); len(t.columns) == 0 {
		p.add("the value %v has no tagged fields", v)
	}
	for _, c := range t.columns {
		if i := slices.IndexFunc(t.keys, func(k column) bool { return k.name == c.name }); i >= 0 {
			t.checked, t.ofKey = append(t.checked, c), append(t.ofKey, i)
		} else if !c.readOnly && c.name != o.Version && c.name != o.Deleted {
			t.written = append(t.written, c)
		}
	}
	return t
}

// reads returns the queries for the rows of keys.
func (t *table[K, V]) reads(keys []K) ([]Statement, error) {
	rows := make([][]any, len(keys))
	for i := range keys {
		var err error
		if rows[i], err = t.key(&keys[i]); err != nil {
			return nil, err
		}
	}
	var out []Statement
	for chunk := range slices.Chunk(rows, t.most(false)) {
		q := t.selection()
		q.add(" WHERE ")
		t.those(q, filled(t.d, chunk, t.most(false)))
		if t.o.Deleted != "" {
			q.add(" AND ", t.d.quote(t.o.Deleted), " IS NOT TRUE")
		}
		out = append(out, q.statement())
	}
	return out, nil
}

// check is a query for nothing that names all columns.
func (t *table[K, V]) check() (Statement, error) {
	q := t.selection()
	q.add(" WHERE 1 = 0")
	if t.o.Deleted != "" {
		q.add(" AND ", t.d.quote(t.o.Deleted), " IS NOT TRUE")
	}
	for _, c := range t.written {
		q.add(" AND ", t.d.quote(c.name), " IS NULL")
	}
	return q.statement(), nil
}

// selection is SELECT: the key's columns, the version, and the value's.
func (t *table[K, V]) selection() *query {
	q := &query{d: t.d}
	t.columnsOfKey(q.add("SELECT "), "")
	if t.o.Version != "" {
		q.add(", COALESCE(", t.d.quote(t.o.Version), ", 0)")
	}
	for _, c := range t.columns {
		q.add(", ", t.d.quote(c.name))
	}
	return q.add(" FROM ", t.name)
}

// read reads one row of what reads asks for.
func (t *table[K, V]) read(rows *sql.Rows) (key K, a policy.Answer[V], err error) {
	var version int64
	var dests []any
	var names []string
	kv := reflect.ValueOf(&key).Elem()
	for i := range t.keys {
		dests, names = append(dests, t.keys[i].dest(kv)), append(names, t.keys[i].field)
	}
	if t.o.Version != "" {
		dests, names = append(dests, &version), append(names, "Options.Version")
	}
	vv := reflect.ValueOf(&a.Value).Elem()
	if t.pointer {
		vv.Set(reflect.New(vv.Type().Elem()))
		vv = vv.Elem()
	}
	for i := range t.columns {
		dests, names = append(dests, t.columns[i].dest(vv)), append(names, t.columns[i].field)
	}
	if err := rows.Scan(dests...); err != nil {
		return key, a, fmt.Errorf("%s: %w", culprit(rows, dests, names), hidden{err})
	}
	a.Version = uint64(max(version, 0))
	return key, a, nil
}

// culprit returns the name of the column that cannot be scanned.
func culprit(rows *sql.Rows, dests []any, names []string) string {
	for i := range dests {
		one := make([]any, len(dests))
		for j := range one {
			one[j] = new(any)
		}
		one[i] = dests[i]
		if rows.Scan(one...) != nil {
			return "column of " + names[i]
		}
	}
	return "row"
}

// A row is one change as parameters.
type row struct {
	key, values []any
	version     any
}

// writes returns the statements that make changes.
func (t *table[K, V]) writes(changes []policy.Change[K, V]) ([]Statement, error) {
	var upserts, deletes [2][]row // by whether they have a version
	for i := range changes {
		ch := &changes[i]
		key, err := t.key(&ch.Key)
		if err != nil {
			return nil, err
		}
		r := row{key: key, version: int64(1)}
		checked := 0
		switch {
		case ch.Version > math.MaxInt64:
			return nil, plain("a version that no bigint holds")
		case ch.Version > 0 && t.o.Version == "" && !t.o.IgnoreVersions:
			return nil, errNoColumn
		case ch.Version > 0 && t.o.Version != "":
			r.version, checked = int64(ch.Version), 1
		}
		if ch.Delete {
			deletes[checked] = append(deletes[checked], r)
			continue
		}
		if r.values, err = t.values(key, &ch.Value); err != nil {
			return nil, err
		}
		upserts[checked] = append(upserts[checked], r)
	}
	var out []Statement
	for checked := range 2 { // deletes first: what they free of a unique column may be taken
		if t.o.Deleted != "" {
			out = t.upserts(out, deletes[checked], nil, checked == 1, true)
		} else {
			out = t.deletes(out, deletes[checked], checked == 1)
		}
	}
	for checked := range 2 {
		out = t.upserts(out, upserts[checked], t.written, checked == 1, false)
	}
	return out, nil
}

// key returns a key as parameters.
func (t *table[K, V]) key(key *K) ([]any, error) {
	kv := reflect.ValueOf(key).Elem()
	out := make([]any, len(t.keys))
	for i := range t.keys {
		var err error
		if out[i], err = t.keys[i].arg(kv); err != nil {
			return nil, err
		}
		if out[i] == nil {
			return nil, plain(t.keys[i].field + ": a key is NULL")
		}
	}
	return out, nil
}

// values returns a value as parameters.
func (t *table[K, V]) values(key []any, value *V) ([]any, error) {
	vv := reflect.ValueOf(value).Elem()
	if t.pointer {
		if vv.IsNil() {
			return nil, plain("a value is nil")
		}
		vv = vv.Elem()
	}
	for i := range t.checked {
		v, err := t.checked[i].arg(vv)
		if err != nil {
			return nil, err
		}
		if compare(v, key[t.ofKey[i]]) != 0 {
			return nil, plain("a value's field " + t.checked[i].field + " is not its key")
		}
	}
	out := make([]any, len(t.written))
	for i := range t.written {
		var err error
		if out[i], err = t.written[i].arg(vv); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sorted sorts rows by key: two that write the same rows then do it in the same order, and need not wait for each other in a circle.
func sorted(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int {
		return slices.CompareFunc(a.key, b.key, compare)
	})
	return rows
}

// compare orders two parameters of one column.
func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b)
		}
	case []byte:
		if b, ok := b.([]byte); ok {
			return bytes.Compare(a, b)
		}
	}
	return cmp.Compare(fmt.Sprintf("%T%v", a, a), fmt.Sprintf("%T%v", b, b))
}

// errNoColumn is the program's mistake, and says nothing of the change.
const errNoColumn = plain("a change with a version, and Options.Version names no column for it")
