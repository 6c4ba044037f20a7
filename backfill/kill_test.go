package backfill_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backfill"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

const killKeys = 2000

// fillUntilKilled is a process that loads keys, and writes down each that it has loaded.
func fillUntilKilled(dir string) {
	log, err := os.OpenFile(filepath.Join(dir, "loaded"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	c, err := tier.New("kill", &tier.Options[int, int]{Policy: policy.CacheAside(policy.Funcs[int, int]{
		LoadMany: func(_ context.Context, keys []int) ([]policy.Answer[int], error) {
			var lines bytes.Buffer
			for _, k := range keys {
				fmt.Fprintln(&lines, k)
			}
			_, err := log.Write(lines.Bytes())
			return make([]policy.Answer[int], len(keys)), err
		},
	}.Loader())})
	if err != nil {
		panic(err)
	}
	_, err = backfill.Run(context.Background(), c, numbers(killKeys), &backfill.Options[int]{
		Rate: 4000, Batch: 20, Workers: 4, Checkpoint: backfill.File(filepath.Join(dir, "position")), SavePause: 5 * time.Millisecond,
	})
	if err != nil {
		panic(err)
	}
}

func TestAfterAKillNothingIsMissed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kills := 0
	for done := false; !done; {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BACKFILL_TEST_DIR="+dir)
		out := new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		before := position(t, dir)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var err error
		for waiting := true; waiting; {
			select {
			case err = <-ended:
				waiting, done = false, err == nil
			case <-time.After(2 * time.Millisecond):
				if kills < 5 && position(t, dir) >= before+killKeys/8 {
					cmd.Process.Kill()
					kills++
					err, waiting = <-ended, false
					done = err == nil
				}
			}
		}
		if err != nil && !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%v: %s", err, out)
		}
		loaded := loadedIn(t, dir)
		for k := range position(t, dir) {
			if !loaded[k] {
				t.Fatalf("after %d kills the checkpoint is %d, and %d was not loaded", kills, position(t, dir), k)
			}
		}
	}
	if n := position(t, dir); kills < 3 || n != killKeys {
		t.Errorf("%d kills, and %d keys done", kills, n)
	}
}

func position(t *testing.T, dir string) int {
	t.Helper()
	p, err := backfill.File(filepath.Join(dir, "position")).Load(t.Context())
	must(t, err)
	if p == nil {
		return 0
	}
	return int(binary.BigEndian.Uint64(p))
}

func loadedIn(t *testing.T, dir string) map[int]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "loaded"))
	must(t, err)
	loaded := map[int]bool{}
	for line := range strings.Lines(string(b)) {
		var k int
		if _, err := fmt.Sscan(line, &k); err == nil {
			loaded[k] = true
		}
	}
	return loaded
}
