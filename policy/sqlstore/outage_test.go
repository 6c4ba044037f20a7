package sqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
)

// A remote is one of the databases that are reached by a network.
type remote struct {
	dialect sqlstore.Dialect
	own     func(t testing.TB) *server.Server
	shared  func(t testing.TB) *server.Server
	open    func(t testing.TB, addr string) *sql.DB
}

var remotes = []remote{
	{
		sqlstore.Postgres, func(t testing.TB) *server.Server { return servertest.Postgres(t) },
		servertest.SharedPostgres, openPostgresAt,
	},
	{
		sqlstore.MariaDB, func(t testing.TB) *server.Server { return servertest.MariaDB(t) },
		servertest.SharedMariaDB, openMariaDBAt,
	},
}

func eachRemote(t *testing.T, test func(t *testing.T, r remote)) {
	t.Helper()
	for _, r := range remotes {
		t.Run(r.dialect.String(), func(t *testing.T) {
			t.Parallel()
			test(t, r)
		})
	}
}

// The connection is lost at each step of a write, and what the error says of it is what the database has.
func TestAWriteThatLosesItsConnectionSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	eachRemote(t, func(t *testing.T, r remote) {
		for _, step := range []struct {
			name, at string
			passed   bool // the server has what was sent
			written  bool
			definite bool
		}{
			{"BEGIN is lost", "BEGIN", false, false, true},
			{"the answer to BEGIN is lost", "BEGIN", true, false, true},
			{"the statement is lost", "marked", false, false, true},
			{"the answer to the statement is lost", "marked", true, false, true},
			{"COMMIT is lost", "COMMIT", false, false, false},
			{"the answer to COMMIT is lost", "COMMIT", true, true, false},
		} {
			t.Run(step.name, func(t *testing.T) {
				t.Parallel()
				direct := inSchema(t, r.dialect, r.open(t, r.shared(t).Addr()))
				direct.create(t, "words", wordTable)
				proxy, err := wire.New(r.shared(t).Addr())
				servertest.Require(t, err)
				t.Cleanup(func() { proxy.Close() })
				db := &database{DB: r.open(t, proxy.Addr()), dialect: r.dialect, schema: direct.schema}
				db.SetMaxOpenConns(1)
				s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version"})
				servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "a", 1)}))

				came := make(chan struct{}, 8)
				proxy.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
					lost := false
					return func(piece []byte) []byte {
						if !lost && bytes.Contains(piece, []byte(step.at)) {
							came <- struct{}{}
							if lost = true; step.passed {
								return piece
							}
						}
						if lost {
							return nil
						}
						return piece
					}
				}}, wire.ToServer)
				if step.passed {
					proxy.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
						lost := false
						return func(piece []byte) []byte {
							if !lost && len(came) == 0 {
								return piece
							}
							lost = true
							return nil
						}
					}}, wire.ToClient)
				}
				failed := make(chan error, 1)
				go func() { failed <- s.StoreMany(t.Context(), []change{put(1, "marked", 2)}) }()
				await(t, "the step comes to the server", func() bool { return len(came) > 0 })
				if step.written {
					await(t, "the server commits", func() bool {
						var text string
						servertest.Require(t, direct.QueryRow("SELECT text FROM "+direct.named("words")).Scan(&text))
						return text == "marked"
					})
				}
				proxy.Refuse() // first: a connection that is lost at BEGIN is replaced
				proxy.Cut()
				err = <-failed
				if err == nil || errors.Is(err, policy.ErrNotWritten) != step.definite {
					t.Errorf("a definite answer: %t, want %t: %v", errors.Is(err, policy.ErrNotWritten), step.definite, err)
				}
				servertest.Require(t, proxy.Heal())
				want, version := "a", uint64(1)
				if step.written {
					want, version = "marked", 2
				}
				if texts, versions := words(t, s, 1); texts[0] != want || versions[0] != version {
					t.Errorf("the database has %q of version %d, want %q", texts[0], versions[0], want)
				}
				// It comes again, and is made once.
				servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "marked", 2)}))
				if texts, _ := words(t, s, 1); texts[0] != "marked" {
					t.Error(texts)
				}
			})
		}
	})
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within", patience, "-", what)
		}
	}
}

func TestAServerThatIsNotThereWroteNothing(t *testing.T) {
	t.Parallel()
	eachRemote(t, func(t *testing.T, r remote) {
		srv := r.own(t)
		proxy, err := wire.New(srv.Addr())
		servertest.Require(t, err)
		t.Cleanup(func() { proxy.Close() })
		db := inSchema(t, r.dialect, r.open(t, proxy.Addr()))
		db.create(t, "words", wordTable)
		s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version"})
		servertest.Require(t, s.Store(t.Context(), 1, word{"a"}))

		proxy.Set(wire.Fault{Hang: true}) // pausing PostgreSQL's first process leaves those of connections
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := s.Store(ctx, 1, word{"b"}); !errors.Is(err, policy.ErrNotWritten) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error("a server that does not answer BEGIN:", err)
		}
		if _, err := s.Load(ctx, 1); err == nil || errors.Is(err, policy.ErrNotFound) {
			t.Error("an outage is no miss:", err)
		}
		servertest.Require(t, proxy.Heal())
		servertest.Require(t, srv.Kill())
		for range 3 {
			if err := s.Store(t.Context(), 1, word{"b"}); !errors.Is(err, policy.ErrNotWritten) {
				t.Error("a server that is gone:", err)
			}
		}
		if _, err := s.LoadMany(t.Context(), []int64{1}); err == nil || errors.Is(err, policy.ErrNotFound) {
			t.Error("an outage is no miss:", err)
		}
		servertest.Require(t, srv.Restart(t.Context()))
		if texts, versions := words(t, s, 1); texts[0] != "a" || versions[0] != 1 {
			t.Error(texts, versions)
		}
		servertest.Require(t, s.Store(t.Context(), 1, word{"c"}))
	})
}

// Another transaction holds the row, and the caller does not wait for ever.
func TestAWriteThatWaitsForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		db.create(t, "words", wordTable)
		s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id"})
		servertest.Require(t, s.Store(t.Context(), 1, word{"a"}))
		tx, err := db.Begin()
		servertest.Require(t, err)
		_, err = tx.Exec("UPDATE " + db.named("words") + " SET text = 'locked'")
		servertest.Require(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err = s.Store(ctx, 1, word{"b"})
		if !errors.Is(err, policy.ErrNotWritten) {
			t.Error(err)
		}
		servertest.Require(t, tx.Commit())
		if texts, _ := words(t, s, 1); texts[0] != "locked" {
			t.Error(texts)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Store(cancelled, 1, word{"b"}); !errors.Is(err, policy.ErrNotWritten) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		// Nothing is left of the transactions that failed, on any connection.
		for i := range 40 {
			servertest.Require(t, s.Store(t.Context(), int64(i), word{fmt.Sprint(i)}))
		}
		if texts, _ := words(t, s, 39); texts[0] != "39" {
			t.Error(texts)
		}
	})
}

// A transaction fails, and the connection that it was on is used again: nothing of it may be committed with what comes next.
func TestARefusedBatchLeavesNothingOnItsConnection(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		db.SetMaxOpenConns(1)
		db.create(t, "words", "id bigint PRIMARY KEY, text varchar(10) NOT NULL CHECK (text <> 'poison')")
		s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id"})
		servertest.Require(t, s.Store(t.Context(), 1, word{"a"}))
		batch := []change{del(1, 0), put(2, "b", 0), put(3, "poison", 0)}
		err := s.StoreMany(t.Context(), batch)
		var typed *sqlstore.Error
		if !errors.Is(err, policy.ErrNotWritten) || !errors.Is(err, policy.ErrRejected) || !errors.As(err, &typed) || typed.Op != "write" || typed.Table != "words" || typed.Step != "statement" {
			t.Errorf("%#v", err)
		}
		servertest.Require(t, s.Store(t.Context(), 4, word{"d"}))
		if texts, _ := words(t, s, 1, 2, 3, 4); texts[0] != "a" || texts[1] != "" || texts[2] != "" || texts[3] != "d" {
			t.Error(texts)
		}
	})
}

// A constraint that is checked at the end refuses the COMMIT, and that is a definite answer too.
func TestACommitThatIsRefusedWroteNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		if db.dialect == sqlstore.MariaDB {
			t.Skip("has no deferred constraints")
		}
		db.create(t, "owners", "id bigint PRIMARY KEY")
		db.create(t, "words", "id bigint PRIMARY KEY, text {text}, owner bigint REFERENCES "+db.named("owners")+" (id) DEFERRABLE INITIALLY DEFERRED")
		type owned struct {
			Owner *int64 `db:"owner"`
		}
		s := source[int64, owned](t, db, sqlstore.Options{Table: "words", Key: "id"})
		nobody := int64(7)
		err := s.Store(t.Context(), 1, owned{&nobody})
		var typed *sqlstore.Error
		if !errors.Is(err, policy.ErrRejected) || !errors.As(err, &typed) || typed.Step != "commit" {
			t.Error(err)
		}
		if _, err := s.Load(t.Context(), 1); !errors.Is(err, policy.ErrNotFound) {
			t.Error(err)
		}
		servertest.Require(t, s.Store(t.Context(), 1, owned{}))
	})
}

func TestAConnectionThatIsRefusedWroteNothing(t *testing.T) {
	t.Parallel()
	for _, r := range remotes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		servertest.Require(t, err)
		l.Close()
		s, err := sqlstore.New[int64, word](r.open(t, l.Addr().String()), r.dialect, &sqlstore.Options{Table: "words", Key: "id"})
		servertest.Require(t, err) // an outage does not stop a start
		var typed *sqlstore.Error
		if err := s.Store(t.Context(), 1, word{"a"}); !errors.Is(err, policy.ErrNotWritten) || errors.Is(err, policy.ErrRejected) || !errors.As(err, &typed) || typed.Step != "connect" {
			t.Error(err)
		}
		if err := s.Check(t.Context()); err == nil {
			t.Error("it is there")
		}
	}
}
