package sqlstore_test

import (
	"errors"
	"math"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
)

type word struct {
	Text string `db:"text"`
}

type change = policy.Change[int64, word]

func put(key int64, text string, version uint64) change {
	return change{Key: key, Value: word{text}, Version: version}
}

func del(key int64, version uint64) change { return change{Key: key, Delete: true, Version: version} }

// words are the texts by key, "" for what is not there, and versions.
func words(t *testing.T, s *sqlstore.Source[int64, word], keys ...int64) (texts []string, versions []uint64) {
	t.Helper()
	answers, err := s.LoadMany(t.Context(), keys)
	servertest.Require(t, err)
	for i, a := range answers {
		if a.Err != nil && !errors.Is(a.Err, policy.ErrNotFound) {
			t.Fatal(keys[i], a.Err)
		}
		texts, versions = append(texts, a.Value.Text), append(versions, a.Version)
	}
	return texts, versions
}

const wordTable = "id bigint PRIMARY KEY, text {text} NOT NULL DEFAULT '', version bigint NOT NULL DEFAULT 0"

// Positions of journals are milliseconds times 2²⁰.
const (
	older = 1_900_000_000_000<<20 | 7
	newer = older + 1
)

func TestAChangeIsMadeOnlyOverASmallerVersion(t *testing.T) {
	t.Parallel()
	for _, deleted := range []string{"", "gone"} {
		name := "rows are deleted"
		if deleted != "" {
			name = "tombstones stay"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, db *database) {
				columns := wordTable
				if deleted != "" {
					columns += ", gone boolean NOT NULL DEFAULT FALSE"
				}
				db.create(t, "words", columns)
				s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version", Deleted: deleted})
				steps := []struct {
					why     string
					change  change
					text    string
					version uint64
				}{
					{"a new row has the change's version", put(1, "a", older), "a", older},
					{"the same version is left alone", put(1, "b", older), "a", older},
					{"an older version is left alone", put(1, "c", 3), "a", older},
					{"a newer version is written", put(1, "d", newer), "d", newer},
					{"a deletion of the same version is left alone", del(1, newer), "d", newer},
					{"an older deletion is left alone", del(1, older), "d", newer},
					{"without a version the row's grows by one", put(1, "e", 0), "e", newer + 1},
					{"once more", put(1, "f", 0), "f", newer + 2},
					{"what was accepted before is old now", put(1, "g", newer+2), "f", newer + 2},
					{"a newer deletion deletes", del(1, newer+3), "", 0},
				}
				if deleted != "" {
					steps = append(steps, []struct {
						why     string
						change  change
						text    string
						version uint64
					}{
						{"an older change that comes after the deletion does not bring the row back", put(1, "h", newer+1), "", 0},
						{"nor does one as new", put(1, "h", newer+3), "", 0},
						{"a newer one does", put(1, "i", newer+4), "i", newer + 4},
						{"without a version a deletion deletes", del(1, 0), "", 0},
						{"and has one more", put(1, "j", newer+5), "", 0},
						{"without a version the row comes back", put(1, "k", 0), "k", newer + 6},
					}...)
				}
				for _, step := range steps {
					servertest.Require(t, s.StoreMany(t.Context(), []change{step.change}))
					texts, versions := words(t, s, 1)
					if texts[0] != step.text || versions[0] != step.version {
						t.Fatalf("%s: have %q of version %d, want %q of %d", step.why, texts[0], versions[0], step.text, step.version)
					}
				}
				if deleted == "" {
					return
				}
				// The write of a key and its deletion became one deletion, and then the write came again.
				servertest.Require(t, s.StoreMany(t.Context(), []change{del(2, newer)}))
				servertest.Require(t, s.StoreMany(t.Context(), []change{put(2, "old", older)}))
				if texts, _ := words(t, s, 2); texts[0] != "" {
					t.Errorf("an older change made a row that was deleted before it was there: %q", texts[0])
				}
			})
		})
	}
}

func TestARowThatIsWrittenFirstWithoutAVersionHasOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		db.create(t, "words", "id bigint PRIMARY KEY, text {text}, version bigint") // NULL is no version
		db.must(t, "INSERT INTO "+db.named("words")+" VALUES (1, 'by others', NULL), (2, 'by others', NULL)")
		s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version"})
		if texts, versions := words(t, s, 1); texts[0] != "by others" || versions[0] != 0 {
			t.Error(texts, versions)
		}
		servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "a", 0), put(2, "b", 5), put(3, "c", 0)}))
		texts, versions := words(t, s, 1, 2, 3)
		if texts[0] != "a" || texts[1] != "b" || texts[2] != "c" || versions[0] != 1 || versions[1] != 5 || versions[2] != 1 {
			t.Error(texts, versions)
		}
	})
}

func TestABatchMixesAllKindsOfChanges(t *testing.T) {
	t.Parallel()
	for _, deleted := range []string{"", "gone"} {
		each(t, func(t *testing.T, db *database) {
			db.create(t, "words", wordTable+", gone boolean NOT NULL DEFAULT FALSE")
			s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version", Deleted: deleted})
			servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "a", 5), put(2, "b", 5), put(3, "c", 5), put(4, "d", 5)}))
			servertest.Require(t, s.StoreMany(t.Context(), []change{
				del(4, 0), put(5, "e", 0), del(3, 4), put(2, "x", 4), del(1, 6), put(6, "f", 9), del(7, 3), del(8, 0),
			}))
			texts, _ := words(t, s, 8, 7, 6, 5, 4, 3, 2, 1)
			for i, want := range []string{"", "", "f", "e", "", "c", "b", ""} {
				if texts[i] != want {
					t.Errorf("key %d: %q, want %q", 8-i, texts[i], want)
				}
			}
		})
	}
}

func TestAVersionNeedsAColumn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		db.create(t, "words", wordTable)
		s := source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id"})
		if err := s.StoreMany(t.Context(), []change{put(1, "a", 1)}); !errors.Is(err, policy.ErrNotWritten) || errors.Is(err, policy.ErrRejected) {
			t.Errorf("a change whose version would be lost: %v", err)
		}
		servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "a", 0)}))
		s = source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", IgnoreVersions: true})
		servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "b", 2)}))
		servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "c", 1)}))
		if texts, versions := words(t, s, 1); texts[0] != "c" || versions[0] != 0 {
			t.Error("the last call wins where versions are ignored:", texts, versions)
		}
		s = source[int64, word](t, db, sqlstore.Options{Table: "words", Key: "id", Version: "version"})
		if err := s.StoreMany(t.Context(), []change{put(1, "a", math.MaxInt64+1)}); !errors.Is(err, policy.ErrRejected) {
			t.Errorf("a version that no bigint holds: %v", err)
		}
		servertest.Require(t, s.StoreMany(t.Context(), []change{put(1, "d", math.MaxInt64)}))
		if _, versions := words(t, s, 1); versions[0] != math.MaxInt64 {
			t.Error(versions)
		}
	})
}
