package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-cache/strata/config"
)

var rewrite = flag.Bool("rewrite", false, "write the expected messages of testdata/broken anew")

// Each file of testdata/broken has its messages beside it, all of them and nothing else. Lines "# env: NAME=value" are its
// environment.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			set, err := config.Parse(t.Context(), data, environmentOf(data), w.drivers())
			if err == nil {
				set.Close()
				t.Fatal("it was accepted")
			}
			got := err.Error() + "\n"
			if strings.Contains(got, "hunter2") && !strings.Contains(got, `"hunter2"`) || strings.Contains(got, "s3:cr") || strings.Contains(got, "s3%3Acr") {
				t.Errorf("a secret shows:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			w.mustBeClosed(t)
		})
	}
}

func environmentOf(data []byte) (env []string) {
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "# env: "); ok {
			env = append(env, v)
		}
	}
	return env
}

// mustBeClosed fails the test if something that was opened is open still.
func (w *world) mustBeClosed(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	open := map[string]int{}
	for _, line := range w.log {
		if what, ok := strings.CutPrefix(line, "open "); ok {
			open[what]++
		}
		if what, ok := strings.CutPrefix(line, "close "); ok {
			open[what]--
		}
	}
	for what, n := range open {
		if n != 0 {
			t.Errorf("%s: %d more opened than closed", what, n)
		}
	}
}
