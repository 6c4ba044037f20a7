package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-cache/strata/config"
)

const (
	busKey   = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	otherKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

func TestBusesGetTheKeysOfTheFile(t *testing.T) {
	t.Parallel()
	w, file := newWorld(), filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(otherKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	yaml := "buses: {a: 'memory://a'}\nbus_keys: {new: '${KEY}', old: 'file:" + file + "', unsigned: accept}"
	set, err := config.Parse(t.Context(), []byte(yaml), []string{"KEY=" + busKey}, w.drivers())
	if err != nil {
		t.Fatal(err)
	}
	set.Close()
	expectLog(t, w, "open bus memory://a", "keyring of new, old, unsigned true", "close bus memory://a")
}

func TestBadKeysOfABusAreReportedWithoutThem(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"bus_keys: {a: 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='}": "does not stand here",
		"bus_keys: {a: '${SHORT}'}":                                     "are not 32 bytes",
		"bus_keys: {unsigned: accept}":                                  "has no key",
		"bus_keys: {a: '${KEY}', unsigned: whatever}":                   "must be accept",
		"bus_keys: {}":                "has no key",
		"bus_keys: {a: '${NOTHING}'}": "NOTHING",
		"bus_keys: 3":                 "must be fields",
	} {
		_, err := config.Parse(t.Context(), []byte(yaml), []string{"KEY=" + busKey, "SHORT=hunter2hunter2"}, newWorld().drivers())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), busKey[:8]) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
}
