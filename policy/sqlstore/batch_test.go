package sqlstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
)

func TestABatchMayHaveMoreParametersThanAStatement(t *testing.T) {
	t.Parallel()
	type row struct {
		A int64 `db:"a"`
		B int64 `db:"b"`
		C int64 `db:"c"`
		D int64 `db:"d"`
		E int64 `db:"e"`
		F int64 `db:"f"`
		G int64 `db:"g"`
		H int64 `db:"h"`
		I int64 `db:"i"`
		J int64 `db:"j"`
		K int64 `db:"k"`
		L int64 `db:"l"`
		M int64 `db:"m"`
		N int64 `db:"n"`
		O int64 `db:"o"`
		P int64 `db:"p"`
		Q int64 `db:"q"`
		R int64 `db:"r"`
		S int64 `db:"s"`
		T int64 `db:"t"`
	}
	type change = policy.Change[int64, row]
	each(t, func(t *testing.T, db *database) {
		columns := "id bigint PRIMARY KEY, version bigint NOT NULL"
		for c := 'a'; c < 't'; c++ {
			columns += fmt.Sprintf(", %c bigint", c)
		}
		db.create(t, "wide", columns+", t bigint UNIQUE")
		s := source[int64, row](t, db, sqlstore.Options{Table: "wide", Key: "id", Version: "version"})
		n := int64(3_200) // 70,400 parameters
		if db.dialect == sqlstore.SQLite {
			n = 1_600 // 35,200
		}
		ids := make([]int64, n)
		changes := make([]change, n)
		for i, k := range rand.Perm(int(n)) {
			ids[i] = int64(k)
			changes[i] = change{Key: ids[i], Value: row{A: ids[i], T: -ids[i]}, Version: 1}
		}
		servertest.Require(t, s.StoreMany(t.Context(), changes))
		answers, err := s.LoadMany(t.Context(), append(ids, -1))
		servertest.Require(t, err)
		for i, k := range ids {
			if a := answers[i]; a.Err != nil || a.Value.A != k {
				t.Fatalf("key %d: %+v", k, a)
			}
		}
		if !errors.Is(answers[n].Err, policy.ErrNotFound) {
			t.Errorf("a key that is not there: %+v", answers[n])
		}
		// All or none, also over several statements: the last one has what is another row's.
		for i := range changes {
			changes[i] = change{Key: ids[i], Delete: true, Version: 2}
		}
		servertest.Require(t, s.StoreMany(t.Context(), []change{{Key: -1, Value: row{T: 1}}}))
		changes[n/2] = change{Key: -2, Value: row{T: 1}, Version: 3}
		if err := s.StoreMany(t.Context(), changes); !errors.Is(err, policy.ErrNotWritten) {
			t.Fatal(err)
		}
		rows := func() (n int64) {
			servertest.Require(t, db.QueryRow("SELECT count(*) FROM "+db.named("wide")).Scan(&n))
			return n
		}
		if have := rows(); have != n+1 {
			t.Errorf("%d rows, want %d: a batch that failed was made in part", have, n+1)
		}
		changes[n/2] = change{Key: ids[n/2], Delete: true}
		servertest.Require(t, s.StoreMany(t.Context(), changes))
		if have := rows(); have != 1 {
			t.Errorf("%d rows are left", have)
		}
		// More keys than parameters.
		most := map[sqlstore.Dialect]int64{sqlstore.Postgres: 65535, sqlstore.MariaDB: 65535, sqlstore.SQLite: 32766}[db.dialect]
		many := make([]int64, most+1)
		for i := range many {
			many[i] = int64(i) - most - 1
		}
		answers, err = s.LoadMany(t.Context(), many)
		servertest.Require(t, err)
		if answers[most].Err != nil || answers[most].Value.T != 1 || answers[0].Err == nil {
			t.Errorf("%+v", answers[most])
		}
	})
}

func TestAnEmptyBatchIsNoRequest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		db.create(t, "words", wordTable)
		s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id"})
		db.Close() // anything asked would fail
		servertest.Require(t, s.StoreMany(t.Context(), nil))
		if a, err := s.LoadMany(t.Context(), nil); err != nil || len(a) != 0 {
			t.Error(a, err)
		}
	})
}

// Nodes that write the same rows at once, each in another order, disturb each other by nothing but a refusal, and the newest is left.
func TestBatchesThatMeetDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	for _, deleted := range []string{"", "gone"} {
		each(t, func(t *testing.T, db *database) {
			db.create(t, "words", wordTable+", gone boolean NOT NULL DEFAULT FALSE")
			s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version", Deleted: deleted})
			const nodes, rounds, keys = 6, 15, 40
			var group sync.WaitGroup
			for node := range nodes {
				group.Go(func() {
					for round := range rounds {
						version := uint64(round*nodes + node + 1)
						var changes []change
						for _, k := range rand.Perm(keys) {
							if round < rounds-1 && k%5 == 0 && node%2 == 0 {
								changes = append(changes, del(int64(k), version))
							} else {
								changes = append(changes, put(int64(k), fmt.Sprint(version), version))
							}
						}
						for {
							err := s.StoreMany(t.Context(), changes)
							if err == nil {
								break
							}
							if !errors.Is(err, policy.ErrNotWritten) {
								t.Errorf("version %d: %v", version, err)
								return
							}
						}
					}
				})
			}
			group.Wait()
			ids := make([]int64, keys)
			for i := range ids {
				ids[i] = int64(i)
			}
			texts, versions := words(t, s, ids...)
			for i := range ids {
				if texts[i] != fmt.Sprint(rounds*nodes) || versions[i] != rounds*nodes {
					t.Errorf("key %d: %q of version %d", i, texts[i], versions[i])
				}
			}
		})
	}
}

func TestAnotherUniqueColumnIsAConstraint(t *testing.T) {
	t.Parallel()
	type user struct {
		Mail string `db:"mail"`
	}
	for _, version := range []string{"", "version"} {
		each(t, func(t *testing.T, db *database) {
			db.create(t, "users", "id bigint PRIMARY KEY, mail varchar(100) UNIQUE, version bigint")
			s := source[int64, user](t, db, sqlstore.Options{Table: "users", Key: "id", Version: version})
			servertest.Require(t, s.Store(t.Context(), 1, user{"one@secret.example"}))
			servertest.Require(t, s.Store(t.Context(), 2, user{"two@secret.example"}))
			for _, key := range []int64{2, 3} { // a row of its own, none yet
				err := s.Store(t.Context(), key, user{"one@secret.example"})
				if !errors.Is(err, policy.ErrNotWritten) {
					t.Errorf("key %d took what is another's: %v", key, err)
				} else if msg := err.Error(); len(msg) > 200 || contains(msg, "secret") {
					t.Errorf("the error tells the value: %s", msg)
				}
			}
			answers, err := s.LoadMany(t.Context(), []int64{1, 2, 3})
			servertest.Require(t, err)
			if answers[0].Value.Mail != "one@secret.example" || answers[1].Value.Mail != "two@secret.example" || answers[2].Err == nil {
				t.Errorf("%+v", answers)
			}
			// What a deletion frees, a change of the same batch may take.
			servertest.Require(t, s.StoreMany(t.Context(), []policy.Change[int64, user]{
				{Key: 3, Value: user{"one@secret.example"}}, {Key: 1, Delete: true},
			}))
		})
	}
}

// A batch of each size is no statement of its own: drivers prepare each, and the server keeps them.
func TestBatchesOfAllSizesAreFewPreparedStatements(t *testing.T) {
	t.Parallel()
	db := inSchema(t, sqlstore.Postgres, opens[sqlstore.Postgres](t))
	db.SetMaxOpenConns(1)
	db.create(t, "words", wordTable)
	s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version"})
	var changes []change
	var keys []int64
	for n := range int64(64) {
		changes, keys = append(changes, put(n, "x", uint64(n+1))), append(keys, n)
		servertest.Require(t, s.StoreMany(t.Context(), changes))
		if texts, _ := words(t, s, keys...); texts[n] != "x" {
			t.Fatal(texts)
		}
	}
	for i := range changes {
		changes[i] = del(keys[i], 1000)
	}
	for n := range changes {
		servertest.Require(t, s.StoreMany(t.Context(), changes[:n]))
	}
	var statements int
	servertest.Require(t, db.QueryRow("SELECT count(*) FROM pg_prepared_statements").Scan(&statements))
	if statements > 3*24+2 {
		t.Errorf("%d prepared statements for batches of 64 sizes", statements)
	}
}
