package sqlstore_test

import (
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
)

// An id scans and values itself.
type id [4]byte

func (i id) Value() (driver.Value, error) { return hex.EncodeToString(i[:]), nil }

func (i *id) Scan(src any) error {
	var text sql.NullString
	if err := text.Scan(src); err != nil || !text.Valid {
		return errors.Join(err, errors.New("no text"))
	}
	_, err := hex.Decode(i[:], []byte(text.String))
	return err
}

// amount does so by its pointer.
type amount struct{ cents int64 }

func (a *amount) Value() (driver.Value, error) { return a.cents, nil }
func (a *amount) Scan(src any) error {
	var n sql.NullInt64
	err := n.Scan(src)
	a.cents = n.Int64
	return err
}

type currency string

type common struct {
	Added time.Time `db:"added"`
}

type everything struct {
	common
	Int      int               `db:"i"`
	Small    int16             `db:"small"`
	Unsigned uint32            `db:"uns"`
	Float    float64           `db:"f"`
	Bool     bool              `db:"b"`
	Text     string            `db:"t"`
	Named    currency          `db:"named"`
	Bytes    []byte            `db:"bytes"`
	Raw      json.RawMessage   `db:"raw"`
	JSON     map[string][]int  `db:"j,json"`
	Pointer  *string           `db:"p"`
	When     *time.Time        `db:"w"`
	Null     sql.Null[int64]   `db:"n"`
	ID       id                `db:"custom"`
	IDs      *id               `db:"customs"`
	Amount   amount            `db:"amount"`
	Hidden   map[string]string `db:"-"`
	Default  string            `db:"d,readonly"`
}

const everyColumn = `id {key} PRIMARY KEY, added {time}, i bigint, small smallint, uns bigint, f double precision, b boolean, t {text},
	named {text}, bytes {bytes}, raw {bytes}, j {json}, p {text}, w {time}, n bigint, custom {text}, customs {text}, amount bigint,
	d varchar(10) NOT NULL DEFAULT 'by itself'`

func TestEveryKindOfColumnComesBackAsItWas(t *testing.T) {
	t.Parallel()
	text := "pointed to"
	at := time.Date(2026, 11, 22, 1, 2, 3, 456789000, time.UTC)
	values := map[string]everything{
		"full": {
			common: common{Added: at}, Int: -1 << 63, Small: -7, Unsigned: 1<<32 - 1, Float: 1e300, Bool: true, Text: "text", Named: "€",
			Bytes: []byte{0, 1, 255}, Raw: json.RawMessage(`{"a":1}`), JSON: map[string][]int{"x": {1, 2}}, Pointer: &text, When: &at,
			Null: sql.Null[int64]{V: 9, Valid: true}, ID: id{1, 2, 3, 4}, IDs: &id{5}, Amount: amount{100}, Default: "by itself",
		},
		"empty": {common: common{Added: at}, Bytes: []byte{}, Raw: json.RawMessage("null"), JSON: map[string][]int{}, Default: "by itself"},
		"nil":   {common: common{Added: at}, Default: "by itself"},
	}
	each(t, func(t *testing.T, db *database) {
		db.create(t, "everything", everyColumn)
		o := sqlstore.Options{Table: "everything", Key: "id"}
		s, p := source[string, everything](t, db, o), source[string, *everything](t, db, o)
		for round := range 2 { // inserted, updated
			for key, v := range values {
				if round == 1 {
					servertest.Require(t, p.Store(t.Context(), key, &v))
				} else {
					servertest.Require(t, s.Store(t.Context(), key, v))
				}
				got, err := s.Load(t.Context(), key)
				servertest.Require(t, err)
				got.Added = got.Added.UTC()
				if got.When != nil {
					utc := got.When.UTC()
					got.When = &utc
				}
				if len(got.Bytes) == 0 && db.dialect == sqlstore.SQLite {
					got.Bytes = v.Bytes // the driver reads empty bytes as nil
				}
				if !reflect.DeepEqual(got, v) {
					t.Errorf("%s:\nhave %+v\nwant %+v", key, got, v)
				}
				same, err := p.Load(t.Context(), key)
				servertest.Require(t, err)
				if same.Text != v.Text || same.ID != v.ID {
					t.Errorf("by pointer: %+v", same)
				}
			}
		}
		if err := p.Store(t.Context(), "x", nil); !errors.Is(err, policy.ErrNotWritten) {
			t.Error("a nil value:", err)
		}
	})
}

func TestAKeyMayHaveSeveralColumns(t *testing.T) {
	t.Parallel()
	type key struct {
		Tenant string `db:"tenant"`
		ID     id     `db:"id"`
	}
	type price struct {
		Of     string `db:"tenant"`
		Amount int64  `db:"amount"`
	}
	each(t, func(t *testing.T, db *database) {
		tenants := "tenant {key}, id {key}, amount bigint, version bigint, PRIMARY KEY (tenant, id)"
		if db.dialect == sqlstore.MariaDB {
			tenants = strings.ReplaceAll(tenants, "{key}", "varchar(100)")
		}
		db.create(t, "prices", tenants)
		s := source[key, price](t, db, sqlstore.Options{Table: "prices", Version: "version"})
		var keys []key
		var changes []policy.Change[key, price]
		for i := range 1203 { // several statements to read
			k := key{fmt.Sprint("t", i%7), id{byte(i), byte(i >> 8)}}
			keys = append(keys, k)
			changes = append(changes, policy.Change[key, price]{Key: k, Value: price{k.Tenant, int64(i)}, Version: 5})
		}
		servertest.Require(t, s.StoreMany(t.Context(), changes))
		answers, err := s.LoadMany(t.Context(), keys)
		servertest.Require(t, err)
		for i, a := range answers {
			if a.Err != nil || a.Value.Amount != int64(i) || a.Value.Of != keys[i].Tenant || a.Version != 5 {
				t.Fatalf("%v: %+v", keys[i], a)
			}
		}
		for i := range changes {
			changes[i] = policy.Change[key, price]{Key: keys[i], Delete: true, Version: uint64(4 + i%2*2)}
		}
		servertest.Require(t, s.StoreMany(t.Context(), changes))
		servertest.Require(t, s.Delete(t.Context(), keys[0]))
		answers, err = s.LoadMany(t.Context(), keys)
		servertest.Require(t, err)
		for i, a := range answers {
			if errors.Is(a.Err, policy.ErrNotFound) != (i%2 == 1 || i == 0) {
				t.Fatalf("%v: %+v", keys[i], a)
			}
		}
		if err := s.Store(t.Context(), keys[0], price{Of: "another"}); !errors.Is(err, policy.ErrNotWritten) {
			t.Error("a value under a key that is not its own:", err)
		}
	})
}

// hostile is what somebody may call a column, or store in it.
var hostile = []string{
	"select", "Order By", "a\"b", "a`b", "a'b", "a;b--", "/*", "*/", "\\", "$1", "?", ":name", "@v", "名前", "🦊", "ORDER", "order", "[x]", "a.b", "%s", "\t\n", " lead",
	"'); DROP TABLE t; --", "\" OR 1=1 --", "` OR 1=1 -- ", "{}", "\\'", "NULL", "0x00", "\x7f",
}

type hostileRow struct {
	A string `db:"select"`
	B string `db:"a\"b; DROP TABLE x; --"`
	C string `db:"a'b"`
	D string "db:\"a`b\""
	E string `db:"$1 ? :x @y %s"`
	F string `db:"名前"`
	G string `db:"\\"`
}

func TestHostileNamesAndValuesAreNamesAndValues(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		for _, name := range []string{"table", "a\"b`c'd; --", "$1?", "名前 🦊"[:6]} {
			row := reflect.TypeFor[hostileRow]()
			columns := db.quote("k\"e`y") + " {key} PRIMARY KEY"
			for i := range row.NumField() {
				columns += ", " + db.quote(row.Field(i).Tag.Get("db")) + " {text}"
			}
			columns += ", " + db.quote("v\"e`r") + " bigint, " + db.quote("d'e\"l`") + " boolean"
			db.create(t, name, columns)
			s := source[string, hostileRow](t, db, sqlstore.Options{Table: name, Key: "k\"e`y", Version: "v\"e`r", Deleted: "d'e\"l`"})
			var changes []policy.Change[string, hostileRow]
			for _, h := range hostile {
				changes = append(changes, policy.Change[string, hostileRow]{Key: h, Value: hostileRow{h, h + h, h, h, h, h, h}, Version: 1})
			}
			for range 2 {
				servertest.Require(t, s.StoreMany(t.Context(), changes))
				for i, h := range hostile {
					changes[i].Version++
					v, err := s.Load(t.Context(), h)
					servertest.Require(t, err)
					if v != changes[i].Value {
						t.Errorf("%q: %+v", h, v)
					}
				}
			}
			answers, err := s.LoadMany(t.Context(), hostile)
			servertest.Require(t, err)
			for i, a := range answers {
				if a.Err != nil || a.Value != changes[i].Value {
					t.Errorf("%q: %+v", hostile[i], a)
				}
				changes[i].Delete, changes[i].Value = true, hostileRow{}
			}
			servertest.Require(t, s.StoreMany(t.Context(), changes))
			servertest.Require(t, s.Delete(t.Context(), hostile[0]))
			answers, err = s.LoadMany(t.Context(), hostile)
			servertest.Require(t, err)
			for i, a := range answers {
				if !errors.Is(a.Err, policy.ErrNotFound) {
					t.Errorf("%q: %+v", hostile[i], a)
				}
			}
		}
	})
}

func TestLargeValuesAndNULsAreWrittenOrSurelyNot(t *testing.T) {
	t.Parallel()
	type blob struct {
		Bytes []byte `db:"bytes"`
		Text  string `db:"text"`
	}
	each(t, func(t *testing.T, db *database) {
		db.create(t, "blobs", "id bigint PRIMARY KEY, bytes {bytes}, text {text}")
		s := source[int64, blob](t, db, sqlstore.Options{Table: "blobs", Key: "id"})
		var changes []policy.Change[int64, blob]
		for i := range int64(10) { // more than MariaDB takes in one packet
			changes = append(changes, policy.Change[int64, blob]{Key: i, Value: blob{make([]byte, 1<<20), strings.Repeat("🦊", 1<<18)}})
		}
		servertest.Require(t, s.StoreMany(t.Context(), changes))
		got, err := s.Load(t.Context(), 9)
		servertest.Require(t, err)
		if !reflect.DeepEqual(got, changes[9].Value) {
			t.Error("a large value came back as another")
		}
		err = s.Store(t.Context(), 11, blob{Text: "a\x00b"})
		got, loadErr := s.Load(t.Context(), 11)
		switch {
		case err == nil && (loadErr != nil || got.Text != "a\x00b"):
			t.Errorf("a NUL was stored as %q, %v", got.Text, loadErr)
		case err != nil && (!errors.Is(err, policy.ErrNotWritten) || !errors.Is(loadErr, policy.ErrNotFound)):
			t.Errorf("a NUL was refused: %v, %v", err, loadErr)
		case err != nil && db.dialect != sqlstore.Postgres:
			t.Error(err)
		}
	})
}

func TestWhatDoesNotFitAFieldIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	type narrow struct {
		Text string `db:"text"`
		N    int8   `db:"n"`
	}
	each(t, func(t *testing.T, db *database) {
		db.create(t, "narrow", "id bigint PRIMARY KEY, text {text}, n bigint")
		db.must(t, "INSERT INTO "+db.named("narrow")+" VALUES (1, NULL, 1), (2, 'secret', 4242), (3, 'fits', 3)")
		s := source[int64, narrow](t, db, sqlstore.Options{Table: "narrow", Key: "id"})
		for key, want := range map[int64]string{1: "narrow.Text", 2: "narrow.N"} {
			_, err := s.Load(t.Context(), key)
			if err == nil || errors.Is(err, policy.ErrNotFound) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "4242") {
				t.Errorf("row %d: %v", key, err)
			}
		}
		if v, err := s.Load(t.Context(), 3); err != nil || v.Text != "fits" {
			t.Error(v, err)
		}
	})
}

func TestAKeyThatTheDatabaseTakesForAnotherIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		collation := map[sqlstore.Dialect]string{
			sqlstore.MariaDB: " COLLATE utf8mb4_general_ci", sqlstore.SQLite: " COLLATE NOCASE",
		}[db.dialect]
		if collation == "" {
			db.must(t, "CREATE COLLATION "+db.named("blunt")+" (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
			collation = " COLLATE " + db.named("blunt")
		}
		db.create(t, "words", "id {key} "+collation+" PRIMARY KEY, text {text}")
		s := source[string, word](t, db, sqlstore.Options{Table: "words", Key: "id"})
		servertest.Require(t, s.Store(t.Context(), "Key", word{"a"}))
		if _, err := s.Load(t.Context(), "key"); err == nil || errors.Is(err, policy.ErrNotFound) {
			t.Errorf("the row of another key, or that there is none: %v", err)
		}
		if err := s.Store(t.Context(), "key", word{"b"}); db.dialect == sqlstore.MariaDB && !errors.Is(err, policy.ErrNotWritten) {
			t.Errorf("the row of another key was written: %v", err)
		}
	})
}
