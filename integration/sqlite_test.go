package integration_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// envWriter makes the test binary be a writer: Redis, the database, what it does without, one a line.
const envWriter = "STRATA_TEST_WRITER"

const (
	tableKeys = 12
	fenceOver = 6 * time.Second // the TTL of a fence, and a little
)

// A table is a source in SQLite.
type table struct {
	db   *sql.DB
	slow time.Duration // how long a call may take at most after it has committed
}

func openTable(path string, slow time.Duration) (*table, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	_, err = db.Exec(`CREATE TABLE IF NOT EXISTS items (key INTEGER PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL)`)
	return &table{db, slow}, err
}

func (t *table) Load(ctx context.Context, key int) (value string, err error) {
	err = t.db.QueryRowContext(ctx, `SELECT value FROM items WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = policy.ErrNotFound
	}
	return value, err
}

func (t *table) Store(ctx context.Context, key int, value string) error {
	_, err := t.db.ExecContext(ctx, `INSERT INTO items VALUES (?1, ?2, 1) ON CONFLICT (key) DO UPDATE SET value = ?2, version = version + 1`, key, value)
	if err == nil && t.slow > 0 {
		time.Sleep(rand.N(t.slow)) // the answer is on its way
	}
	return err
}

func (t *table) Delete(ctx context.Context, key int) error {
	_, err := t.db.ExecContext(ctx, `DELETE FROM items WHERE key = ?`, key)
	return err
}

// openThrough makes a cache that writes through t.
func openThrough(redisURL string, t *table) (*tier.Cache[int, string], func(), error) {
	store, err := backend.Open(context.Background(), redisURL)
	if err != nil {
		return nil, nil, err
	}
	bus, err := redisbus.New(store, nil)
	if err != nil {
		return nil, nil, err
	}
	c, err := tier.New("items", &tier.Options[int, string]{
		Remote: store, Bus: bus, MaxStaleness: maxStaleness, Policy: policy.WriteThrough(t),
	})
	return c, func() { c.Close(); bus.Close(); store.Close(); t.db.Close() }, err
}

// serveWriter writes and reads until its standard input says stop; then it only reads, and tells after each further line what it
// has. It is killed in the end.
func serveWriter(spec string) error {
	lines := strings.Split(spec, "\n")
	without, err := weaken.Parse(lines[2])
	if err != nil {
		return err
	}
	weaken.Switch(without...)
	t, err := openTable(lines[1], 20*time.Millisecond)
	if err != nil {
		return err
	}
	c, _, err := openThrough(lines[0], t)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				// An error is an outcome that nobody knows, which the cache has to see to.
				c.Set(context.Background(), rand.IntN(tableKeys), fmt.Sprintf("process %d writer %d write %d", os.Getpid(), w, i))
			}
		})
		go func() { // ends with the process
			for {
				c.Get(context.Background(), rand.IntN(tableKeys))
				time.Sleep(time.Millisecond)
			}
		}()
	}
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	stop()
	writers.Wait()
	fmt.Println("stopped")
	for in.Scan() {
		found := map[int]string{}
		for k := range tableKeys {
			v, err := c.Get(context.Background(), k)
			if err != nil {
				v = err.Error()
			}
			found[k] = v
		}
		line, _ := json.Marshal(struct {
			Found map[int]string
			Stats tier.Stats
		}{found, c.Stats()})
		fmt.Println(string(line))
	}
	return nil
}

// A writer is a process that writes through.
type writer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startWriter(t testing.TB, spec string) *writer {
	t.Helper()
	w := startProcess(t, envWriter, spec)
	w.expect(t)
	return w
}

// startProcess starts the test binary as what a variable of its environment makes of it. It is killed with the test.
func startProcess(t testing.TB, env, spec string) *writer {
	t.Helper()
	w := &writer{cmd: exec.Command(os.Args[0])}
	w.cmd.Env = append(os.Environ(), env+"="+spec)
	w.cmd.Stderr = os.Stderr
	var err error
	w.in, err = w.cmd.StdinPipe()
	must(t, err)
	out, err := w.cmd.StdoutPipe()
	must(t, err)
	w.out = bufio.NewReader(out)
	must(t, w.cmd.Start())
	t.Cleanup(w.kill)
	return w
}

// expect reads a line.
func (w *writer) expect(t testing.TB) string {
	t.Helper()
	line, err := w.out.ReadString('\n')
	must(t, err)
	return line
}

func (w *writer) say(t testing.TB) {
	t.Helper()
	_, err := io.WriteString(w.in, "\n")
	must(t, err)
}

// kill is kill -9. It may be called again.
func (w *writer) kill() {
	w.cmd.Process.Kill()
	w.cmd.Wait()
}

// versions are what the source has.
func (t *table) versions(tb testing.TB) map[int]string {
	tb.Helper()
	all := map[int]string{}
	for k := range tableKeys {
		v, err := t.Load(tb.Context(), k)
		if !errors.Is(err, policy.ErrNotFound) {
			must(tb, err)
			all[k] = v
		}
	}
	return all
}

// differences are the keys at which found is not what the source has.
func differences(source, found map[int]string) (keys []string) {
	for k, v := range source {
		if found[k] != v {
			keys = append(keys, fmt.Sprintf("key %d: the source has %q, the cache %q", k, v, found[k]))
		}
	}
	return keys
}

// afresh reads all keys as a node that has just started.
func afresh(t testing.TB, srv *server.Server, path string) map[int]string {
	t.Helper()
	source, err := openTable(path, 0)
	must(t, err)
	c, end, err := openThrough(srv.URL(), source)
	must(t, err)
	defer end()
	found := map[int]string{}
	for k := range tableKeys {
		if v, err := c.Get(t.Context(), k); !errors.Is(err, tier.ErrNotFound) {
			must(t, err)
			found[k] = v
		}
	}
	return found
}

func TestProcessesThatWriteThroughAndDieLeaveCacheEqualToDatabase(t *testing.T) {
	t.Parallel()
	srv, path := servertest.Redis(t), filepath.Join(t.TempDir(), "items.db")
	source, err := openTable(path, 0)
	must(t, err)
	t.Cleanup(func() { source.db.Close() })
	spec := strings.Join([]string{srv.URL() + patient, path, ""}, "\n")
	ws := []*writer{startWriter(t, spec), startWriter(t, spec)}
	kills := 0
	for end := time.Now().Add(loadFor(t, 2*time.Second)); time.Now().Before(end); kills++ {
		pause := time.NewTimer(200*time.Millisecond + rand.N(600*time.Millisecond)) // until the next death, a parameter of the load
		<-pause.C
		i := kills % 2
		ws[i].kill()
		ws[i] = startWriter(t, spec)
	}
	ws[0].say(t)
	ws[0].expect(t)
	ws[1].kill()
	settle := time.NewTimer(fenceOver) // what the promise allows
	<-settle.C
	want := source.versions(t)
	if len(want) != tableKeys {
		t.Errorf("%d of %d keys were written", len(want), tableKeys)
	}
	ws[0].say(t)
	var report struct {
		Found map[int]string
		Stats tier.Stats
	}
	must(t, json.Unmarshal([]byte(ws[0].expect(t)), &report))
	t.Logf("%d kills; the survivor wrote %d keys, with %d local hits of %d reads", kills+1, report.Stats.Stores, report.Stats.LocalHits,
		report.Stats.LocalHits+report.Stats.RemoteHits+report.Stats.Misses)
	if report.Stats.LocalHits == 0 {
		t.Error("nothing was served locally: this proves nothing")
	}
	for name, found := range map[string]map[int]string{"the survivor": report.Found, "a new node": afresh(t, srv, path)} {
		for _, d := range differences(want, found) {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestWithoutFencesAKilledWriterLeavesADifference(t *testing.T) {
	t.Parallel()
	srv, path := servertest.Redis(t), filepath.Join(t.TempDir(), "items.db")
	source, err := openTable(path, 0)
	must(t, err)
	t.Cleanup(func() { source.db.Close() })
	spec := strings.Join([]string{srv.URL() + patient, path, weaken.Fence.String()}, "\n")
	for round := range 10 {
		ws := []*writer{startWriter(t, spec), startWriter(t, spec)}
		load := time.NewTimer(time.Second) // of load
		<-load.C
		for _, w := range ws {
			w.kill()
		}
		if n := len(differences(source.versions(t), afresh(t, srv, path))); n > 0 {
			t.Logf("%d keys differ after %d rounds", n, round+1)
			return
		}
	}
	t.Error("no difference in 10 rounds: the test of write-through proves nothing")
}
