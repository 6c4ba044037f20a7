package filejournal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
)

func TestAFileIsOfOneJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path, nil)
	for _, wait := range []time.Duration{-1, 60 * time.Millisecond} {
		if _, err := filejournal.Open(path, &filejournal.Options{LockTimeout: wait}); !errors.Is(err, filejournal.ErrLocked) {
			t.Errorf("a second one: %v", err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, nil).Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := filejournal.Open(filepath.Join(t.TempDir(), "no", "journal"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
	if _, err := filejournal.Open(path, &filejournal.Options{Sync: 9}); err == nil {
		t.Error("an unknown Sync")
	}
}

// bolt makes a file of the store's kind.
func bolt(t *testing.T, path string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatIsNoJournalIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	contents := map[string][]byte{
		"text":  bytes.Repeat([]byte("precious\n"), 3000),
		"short": []byte("precious"),
	}
	for name, f := range map[string]func(tx *bbolt.Tx) error{
		"another program's": func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err },
		"another version's": func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("strata journal"))
			if err != nil {
				return err
			}
			return b.Put([]byte("layout"), []byte{2})
		},
	} {
		path := filepath.Join(t.TempDir(), "made")
		bolt(t, path, f)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		contents[name] = b
	}
	for name, want := range contents {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := filejournal.Open(path, nil)
		if f := (*filejournal.FormatError)(nil); !errors.As(err, &f) || f.Path != path {
			t.Errorf("%s: %v, want a FormatError", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: it was changed, %v", name, err)
		}
	}
}

func TestADamagedEntryIsToldAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path, nil)
	q, err := j.Open("q", (*journal.Options)(nil).WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	var writes []journal.Write
	for i := range 5 {
		writes = append(writes, journal.Write{Key: fmt.Sprintf("key %d", i), Value: []byte("value"), ID: journal.NewID()})
	}
	receipts := q.Append(t.Context(), time.Minute, writes)
	j.Close()
	bolt(t, path, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("qq"))
		for i, spoil := range map[int]func([]byte) []byte{
			1: func(v []byte) []byte { v[len(v)-1] ^= 1; return v },
			2: func(v []byte) []byte { return v[:3] },
			3: func(v []byte) []byte { v[0]++; return v },
		} {
			k := binary.BigEndian.AppendUint64([]byte{'p'}, uint64(receipts[i].Position))
			if err := b.Put(k, spoil(bytes.Clone(b.Get(k)))); err != nil {
				return err
			}
		}
		return nil
	})
	var told []uint64
	j = open(t, path, &filejournal.Options{OnDamage: func(d *filejournal.DamageError) {
		if d.Path != path || d.Queue != "q" || d.Error() == "" {
			t.Errorf("%+v", d)
		}
		told = append(told, d.Position)
	}})
	defer j.Close()
	if q, err = j.Open("q", (*journal.Options)(nil).WithDefaults()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 3 || told[0] != uint64(receipts[1].Position) || told[2] != uint64(receipts[3].Position) {
		t.Errorf("told of %v, want %v", told, receipts[1:4])
	}
	entries, err := q.Take(t.Context(), 10)
	if err != nil || len(entries) != 2 || entries[0].Key != "key 0" || entries[1].Key != "key 4" {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestWhatIsDoneMakesRoom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path, &filejournal.Options{Sync: filejournal.Never})
	defer j.Close()
	q, err := j.Open("q", (*journal.Options)(nil).WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // 30 MB in all
		q.Append(t.Context(), time.Minute, []journal.Write{{Key: fmt.Sprint(i), Value: make([]byte, 100_000), ID: journal.NewID()}})
		entries, err := q.Take(t.Context(), 10)
		if err == nil {
			err = q.Done(t.Context(), entries)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 4<<20 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}
