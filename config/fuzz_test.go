package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-cache/strata/config"
)

// Whatever the file and the environment hold: no panic, an error is an Errors with a text in each, no secret shows, and nothing stays
// open.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/broken/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), "hunter2hunter2", "1m")
	}
	f.Add("remotes: {a: 'redis://u:${SECRET}@h'}\ncaches: {a: {remote: a, ttl: '${TTL}'}}", "hunter2hunter2", "1m")
	f.Add("caches: {a: {ttl: '$${x}${TTL:-${SECRET}}'}}", "}", "${")
	f.Add("&a [*a, !!x {<<: *a}, ? , |\n x\n, >-\n y]", "", "")
	f.Add("%YAML 1.2\n---\n\"\\ud800\": '\n---\n", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, yaml, secret, ttl string) {
		if len(yaml) > 4<<10 {
			return
		}
		w := newWorld()
		set, err := config.Parse(t.Context(), []byte(yaml), []string{"SECRET=" + secret, "TTL=" + ttl, "STRATA_CACHES_A_TTL=" + ttl, "STRATA_REMOTES_A=" + secret}, w.drivers())
		if err == nil {
			for _, name := range set.Caches() {
				if _, err := config.Cache[string, string](set, name); err != nil {
					t.Errorf("cache %q is accepted, and not made: %v", name, err)
				}
			}
			set.Close()
		} else {
			var all config.Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Errorf("no Errors: %v", err)
			}
			for _, e := range all {
				if e.Problem == "" {
					t.Errorf("an Error without a problem: %#v", e)
				}
			}
			if len(secret) > 12 && strings.Contains(err.Error(), secret) && !strings.Contains(yaml, secret) {
				t.Errorf("%q shows: %v", secret, err)
			}
		}
		w.mustBeClosed(t)
	})
}
