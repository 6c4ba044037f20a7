package integration_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

// updates is how many writes are accepted; STRATA_UPDATES makes it more.
func updates(t *testing.T) (n int, long bool) {
	text, long := os.LookupEnv("STRATA_UPDATES")
	if !long {
		return 6000, false
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n, true
}

// A crashTest has processes write behind into PostgreSQL while they are killed and the database is paused.
type crashTest struct {
	*testing.T
	spec behindSpec
	pg   *server.Server
	db   *sql.DB

	mu       sync.Mutex
	asked    map[string]tale // by ID; guarded by mu
	heard    map[string]bool // of these, those that were accepted; guarded by mu, as all below
	accepted map[string]tale // that of the highest position, by key
	count    int
	stored   map[string]bool // by ID
	twice    int             // how often a write was stored that was before
	enough   int
	pauses   int
	reached  chan struct{} // closed when so many are accepted
	readers  sync.WaitGroup
}

func newCrashTest(t *testing.T, file bool) *crashTest {
	n, long := updates(t)
	c := &crashTest{T: t, asked: map[string]tale{}, heard: map[string]bool{}, stored: map[string]bool{}, accepted: map[string]tale{}, enough: n, reached: make(chan struct{})}
	redis := servertest.Redis(t, &server.RedisOptions{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	c.pg = servertest.Postgres(t)
	c.spec = behindSpec{Redis: redis.URL() + patient, Postgres: c.pg.URL(), Keys: 600, Writers: 8, TakeOver: 3 * time.Second}
	if long {
		c.spec.Keys, c.spec.TakeOver = 20_000, 5*time.Second
	}
	if file {
		c.spec.File = filepath.Join(t.TempDir(), "words.journal")
	}
	var err error
	c.db, err = sql.Open("pgx", c.pg.URL())
	must(t, err)
	t.Cleanup(func() { must(t, c.db.Close()) })
	_, err = c.db.Exec(wordsTable)
	must(t, err)
	return c
}

// start starts a process and listens to it. The function that it returns waits until nothing more comes.
func (c *crashTest) start() (w *writer, silent func()) {
	c.Helper()
	spec, err := json.Marshal(c.spec)
	must(c, err)
	w = startProcess(c, envBehind, string(spec))
	done := make(chan struct{})
	c.readers.Go(func() {
		defer close(done)
		for lines := bufio.NewScanner(w.out); lines.Scan(); {
			var t tale
			if json.Unmarshal(lines.Bytes(), &t) == nil { // the last line of a process that is killed may be half
				c.hear(t)
			}
		}
	})
	return w, func() { <-done }
}

func (c *crashTest) hear(t tale) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case t.Stored:
		if c.stored[t.ID] {
			c.twice++
		}
		c.stored[t.ID] = true
	case t.Position == 0:
		c.asked[t.ID] = t
	default:
		was := c.asked[t.ID]
		was.Position = t.Position
		c.heard[t.ID] = true
		if c.accepted[was.Key].Position < t.Position {
			c.accepted[was.Key] = was
		}
		if c.count++; c.count == c.enough {
			close(c.reached)
		}
	}
}

// run has so many processes write until enough is accepted, one being killed every little while and the database paused twice. Then
// all of them close their caches.
func (c *crashTest) run(processes int) (kills int) {
	c.Helper()
	type process struct {
		*writer
		silent func()
	}
	ps := make([]process, processes)
	for i := range ps {
		ps[i].writer, ps[i].silent = c.start()
	}
	_, long := updates(c.T)
	every := 700 * time.Millisecond
	if long {
		every = 3 * time.Second
	}
	for {
		next := time.NewTimer(every/2 + rand.N(every)) // until the next death, a parameter of the load
		select {
		case <-c.reached:
			next.Stop()
			for _, p := range ps {
				p.say(c)
			}
			for _, p := range ps {
				p.silent()
				must(c, p.cmd.Wait())
			}
			c.readers.Wait()
			return kills
		case <-next.C:
		}
		if kills%3 == 1 && c.pauses < 2 {
			c.pauses++
			must(c, c.pg.Pause())
			pause := time.NewTimer(every)
			<-pause.C
			must(c, c.pg.Resume())
		}
		i := rand.IntN(processes)
		ps[i].kill()
		ps[i].silent()
		ps[i].writer, ps[i].silent = c.start()
		kills++
	}
}

// differences are the keys at which the database does not have the last accepted write, and how many have one of which nobody knows
// whether it was accepted, as its process was killed, or its call failed.
func (c *crashTest) differences() (wrong []string, unheard int) {
	c.Helper()
	has := map[string]string{}
	query := `SELECT id, value FROM words`
	if !c.spec.NoVersions {
		query += ` WHERE NOT gone`
	}
	rows, err := c.db.Query(query)
	must(c, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		var value string
		must(c, rows.Scan(&id, &value))
		has[fmt.Sprintf("words/1/{%d}", id)] = value
	}
	must(c, rows.Err())
	perhaps := map[tale]bool{}
	for _, t := range c.asked {
		if !c.heard[t.ID] {
			perhaps[tale{Key: t.Key, Value: t.Value, Delete: t.Delete}] = true
			perhaps[tale{Key: t.Key, Delete: t.Delete}] = true
		}
	}
	for key, last := range c.accepted {
		value, there := has[key]
		switch {
		case there != last.Delete && (last.Delete || value == last.Value):
		case there && perhaps[tale{Key: key, Value: value}], !there && perhaps[tale{Key: key, Delete: true}]:
			unheard++
		default:
			wrong = append(wrong, fmt.Sprintf("%s: the database has %q (%v), and the last accepted is %+v", key, value, there, last))
		}
	}
	return wrong, unheard
}

// pending is how many writes are still in the journal.
func (c *crashTest) pending() int {
	c.Helper()
	var j journal.Journal
	var err error
	if c.spec.File != "" {
		j, err = filejournal.Open(c.spec.File, nil)
	} else {
		j, err = redisjournal.Open(c.Context(), c.spec.Redis, nil)
	}
	must(c, err)
	defer j.Close()
	q, err := j.Open("words/1", *c.spec.options())
	must(c, err)
	defer q.Close()
	stats, err := q.Stats(c.Context())
	must(c, err)
	if stats.Dead > 0 {
		c.Errorf("%d dead letters", stats.Dead)
	}
	return stats.Depth
}

// Not parallel, as the one below: they take the whole machine, and other tests have timeouts.
func TestProcessesThatWriteBehindAndDieLoseNothing(t *testing.T) {
	for name, processes := range map[string]int{"on Redis": 3, "in a file": 1} {
		t.Run(name, func(t *testing.T) {
			c := newCrashTest(t, processes == 1)
			kills := c.run(processes)
			if n := c.pending(); n > 0 {
				t.Fatalf("%d writes are pending", n)
			}
			wrong, unheard := c.differences()
			t.Logf("%d accepted writes of %d keys; %d kills, %d pauses; %d were written, %d more than once; %d differences; at %d keys nobody knows the last, as its process was killed",
				c.count, len(c.accepted), kills, c.pauses, len(c.stored), c.twice, len(wrong), unheard)
			for _, w := range wrong[:min(len(wrong), 10)] {
				t.Error(w)
			}
			if kills == 0 || unheard > len(c.accepted)/4 {
				t.Errorf("%d kills, %d keys unknown: this proves nothing", kills, unheard)
			}
		})
	}
}

// The test above finds what is lost where a deletion that meets a pending write is.
func TestWhereDeletionsAreMergedAwayTheDatabaseDiffers(t *testing.T) {
	c := newCrashTest(t, true)
	c.spec.NoDeletions = true
	c.enough = min(c.enough, 6000)
	c.run(1)
	if wrong, _ := c.differences(); len(wrong) == 0 {
		t.Error("no difference: the test of writing behind proves nothing")
	}
}
