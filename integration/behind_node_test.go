package integration_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
	"github.com/strata-cache/strata/policy/sqlstore"
	"github.com/strata-cache/strata/tier"
)

// envBehind makes the test binary be a process that writes behind: a behindSpec.
const envBehind = "STRATA_TEST_BEHIND"

// A behindSpec is what such a process is to do.
type behindSpec struct {
	Redis, Postgres string
	File            string // of the journal; empty: it is on Redis
	Keys            int
	Writers         int
	TakeOver        time.Duration
	NoVersions      bool // the source ignores them
	NoDeletions     bool // a deletion that meets a pending write is lost
}

// A word is what the table has at a key.
type word struct {
	Value string `db:"value"`
}

const wordsTable = `CREATE TABLE words (id bigint PRIMARY KEY, value text NOT NULL DEFAULT '', version bigint NOT NULL DEFAULT 0, gone boolean NOT NULL DEFAULT false)`

// openWords returns the table.
func openWords(db *sql.DB, versions bool) (*sqlstore.Source[int64, word], error) {
	if !versions {
		return sqlstore.New[int64, word](db, sqlstore.Postgres, &sqlstore.Options{Table: "words", Key: "id", IgnoreVersions: true})
	}
	return sqlstore.New[int64, word](db, sqlstore.Postgres, &sqlstore.Options{Table: "words", Key: "id", Version: "version", Deleted: "gone"})
}

// A tale is a line that a process prints: before a journal is asked to accept a write, and after it has.
type tale struct {
	ID       string
	Key      string           `json:",omitempty"`
	Value    string           `json:",omitempty"`
	Delete   bool             `json:",omitempty"`
	Position journal.Position `json:",omitempty"` // 0: it is only asked to
	Stored   bool             `json:",omitempty"` // the source has it
}

// teller is a journal that tells what it is asked to accept, and accepts.
type teller struct {
	journal.Journal
	lossy bool

	mu  sync.Mutex
	out *bufio.Writer // guarded by mu
}

func (j *teller) tell(tales ...tale) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range tales {
		line, _ := json.Marshal(t)
		j.out.Write(append(line, '\n'))
	}
	j.out.Flush()
}

func (j *teller) Open(name string, o journal.Options) (journal.Queue, error) {
	q, err := j.Journal.Open(name, o)
	return &tellerQueue{q, j}, err
}

type tellerQueue struct {
	journal.Queue
	j *teller
}

// tellerTable tells what it has stored.
type tellerTable struct {
	*sqlstore.Source[int64, word]
	j *teller
}

func (s *tellerTable) StoreMany(ctx context.Context, changes []policy.Change[int64, word]) error {
	err := s.Source.StoreMany(ctx, changes)
	if err == nil {
		tales := make([]tale, len(changes))
		for i, ch := range changes {
			tales[i] = tale{ID: fmt.Sprintf("%x", ch.ID), Stored: true}
		}
		s.j.tell(tales...)
	}
	return err
}

// told is the key of a context's value: what is written.
type told struct{}

func (q *tellerQueue) Append(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
	values, _ := ctx.Value(told{}).(string)
	for _, w := range writes {
		q.j.tell(tale{ID: fmt.Sprintf("%x", w.ID), Key: w.Key, Value: values, Delete: w.Delete})
	}
	receipts := q.append(ctx, within, writes)
	for i, r := range receipts {
		if r.Err == nil {
			q.j.tell(tale{ID: fmt.Sprintf("%x", writes[i].ID), Position: r.Position})
		}
	}
	return receipts
}

// append accepts writes; a lossy one accepts a deletion in place of a pending write, and forgets it.
func (q *tellerQueue) append(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
	if q.j.lossy && len(writes) == 1 && writes[0].Delete {
		if pending, err := q.Pending(ctx, []string{writes[0].Key}); err == nil && pending[0].Position != 0 {
			return []journal.Receipt{{Position: pending[0].Position.Next(time.Now())}}
		}
	}
	return q.Queue.Append(ctx, within, writes)
}

// serveBehind writes until its standard input says stop, then closes its cache.
func serveBehind(text string) error {
	var spec behindSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := sql.Open("pgx", spec.Postgres)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(4)
	table, err := openWords(db, !spec.NoVersions)
	if err != nil {
		return err
	}
	store, err := backend.Open(ctx, spec.Redis)
	if err != nil {
		return err
	}
	bus, err := redisbus.New(store, nil)
	if err != nil {
		return err
	}
	j := &teller{out: bufio.NewWriter(os.Stdout), lossy: spec.NoDeletions}
	if spec.File != "" {
		j.Journal, err = filejournal.Open(spec.File, nil)
	} else {
		j.Journal, err = redisjournal.New(store, nil)
	}
	if err != nil {
		return err
	}
	words, err := tier.New("words", &tier.Options[int64, word]{
		Remote: store, Bus: bus, Policy: policy.WriteBehind[int64, word](&tellerTable{table, j}, j, spec.options()), SourceSettle: time.Second,
	})
	if err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var writers sync.WaitGroup
	for range spec.Writers {
		writers.Go(func() {
			for loading.Err() == nil {
				key, value := rand.Int64N(int64(spec.Keys)), fmt.Sprintf("%d %x", os.Getpid(), rand.Uint64())
				// What fails was perhaps accepted.
				if ctx := context.WithValue(ctx, told{}, value); rand.IntN(8) == 0 {
					words.Delete(ctx, key)
				} else {
					words.Set(ctx, key, word{value})
				}
			}
		})
	}
	bufio.NewScanner(os.Stdin).Scan()
	stop()
	writers.Wait()
	return errors.Join(words.Close(), j.Journal.Close(), bus.Close(), store.Close(), db.Close())
}

func (s behindSpec) options() *journal.Options {
	return &journal.Options{
		BatchSize: 512, TakeOver: s.TakeOver, Delay: 10 * time.Millisecond, MaxBackoff: time.Second, Bound: 50_000, MaxAttempts: -1,
		DrainTimeout: time.Minute,
	}
}
