package sqlstore_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
)

func TestASourceMayBeGivenSQL(t *testing.T) {
	t.Parallel()
	db := inSchema(t, sqlstore.SQLite, openSQLite(t))
	db.create(t, "people", "id integer PRIMARY KEY, name {text} NOT NULL")
	db.create(t, "tags", "person integer, tag {text}")
	given := &sqlstore.SQL[int64, []string]{
		Name: "people",
		Read: func(keys []int64) (sqlstore.Statement, error) {
			var s sqlstore.Statement
			for _, k := range keys {
				s.Args = append(s.Args, k)
			}
			s.Query = "SELECT id, group_concat(tag, ',') FROM people JOIN tags ON person = id WHERE id IN (?" + strings.Repeat(", ?", len(keys)-1) + ") GROUP BY id"
			return s, nil
		},
		Row: func(rows *sql.Rows) (id int64, a policy.Answer[[]string], err error) {
			var tags string
			err = rows.Scan(&id, &tags)
			a.Value, a.Version, a.Tags = strings.Split(tags, ","), 7, []string{"people"}
			return id, a, err
		},
		Most: 2,
	}
	s, err := sqlstore.FromSQL(db.DB, sqlstore.SQLite, given)
	servertest.Require(t, err)
	servertest.Require(t, s.Check(t.Context()))
	if err := s.Store(t.Context(), 1, nil); !errors.Is(err, policy.ErrNotWritten) {
		t.Error("a source that cannot be written:", err)
	}
	given.Write = func(changes []policy.Change[int64, []string]) (out []sqlstore.Statement, err error) {
		for _, ch := range changes {
			out = append(out, sqlstore.Statement{Query: "DELETE FROM tags WHERE person = ?", Args: []any{ch.Key}})
			if !ch.Delete {
				out = append(out, sqlstore.Statement{Query: "INSERT INTO people VALUES (?, ?) ON CONFLICT DO NOTHING", Args: []any{ch.Key, "x"}})
			}
			for _, tag := range ch.Value {
				if tag == "" {
					return nil, errors.New("a tag is empty")
				}
				out = append(out, sqlstore.Statement{Query: "INSERT INTO tags VALUES (?, ?)", Args: []any{ch.Key, tag}})
			}
		}
		return out, nil
	}
	s, err = sqlstore.FromSQL(db.DB, sqlstore.SQLite, given)
	servertest.Require(t, err)
	for id := range int64(5) {
		servertest.Require(t, s.Store(t.Context(), id, []string{"a", "b"}))
	}
	servertest.Require(t, s.Delete(t.Context(), 3))
	if err := s.Store(t.Context(), 1, []string{"c", ""}); !errors.Is(err, policy.ErrNotWritten) {
		t.Error(err)
	}
	answers, err := s.LoadMany(t.Context(), []int64{4, 3, 2, 1, 0})
	servertest.Require(t, err)
	for i, a := range answers {
		if i == 1 {
			if !errors.Is(a.Err, policy.ErrNotFound) {
				t.Errorf("%+v", a)
			}
		} else if a.Err != nil || strings.Join(a.Value, "") != "ab" || a.Version != 7 || len(a.Tags) != 1 {
			t.Errorf("%+v", a)
		}
	}
}

// What a program may find by assertion.
var (
	_ policy.Source[int, word]      = (*sqlstore.Source[int, word])(nil)
	_ policy.BatchLoader[int, word] = (*sqlstore.Source[int, word])(nil)
	_ policy.BatchStore[int, word]  = (*sqlstore.Source[int, word])(nil)
	_ policy.Refresher[int, word]   = (*sqlstore.Source[int, word])(nil)
)
