package filejournal_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/journaltest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func open(t testing.TB, path string, o *filejournal.Options) journal.Journal {
	t.Helper()
	j, err := filejournal.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*filejournal.Options{
		"never":    {Sync: filejournal.Never},
		"interval": {Sync: filejournal.Interval, Interval: time.Millisecond},
		"tail":     {Sync: filejournal.Interval, Interval: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journaltest.Run(t, func(t *testing.T) journaltest.Harness {
				path := filepath.Join(t.TempDir(), "journal")
				return journaltest.Harness{
					Open:    func(t *testing.T) journal.Journal { return open(t, path, o) },
					Earlier: synctest.Test, // where it is the year 2000
				}
			})
		})
	}
}
