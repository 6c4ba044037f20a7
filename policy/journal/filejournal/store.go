package filejournal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/internal/index"
)

// The file has one bucket with the version of its layout, and one for each queue, with its records by place.
var (
	layoutBucket = []byte("strata journal")
	layoutKey    = []byte("layout")
	layout       = []byte{1}
)

func bucketOf(name string) []byte { return append([]byte{'q'}, name...) }

// A store is the file.
type store struct {
	path string
	db   *bbolt.DB

	turn sync.Mutex // held by who commits
	tail *tail      // what it holds is guarded by turn; nil unless Sync is Interval

	mu     sync.Mutex
	failed error // guarded by mu; what is in the file is not known any more
}

// openStore opens the file, and makes it where there is none.
func openStore(path string, o Options) (s *store, err error) {
	_, err = os.Stat(path)
	fresh := errors.Is(err, os.ErrNotExist)
	wait := max(o.LockTimeout, 1) // 0 is for ever
	db, err := openFile(path, bbolt.Options{Timeout: wait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: o.Sync == Never})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("filejournal: %s: %w", path, ErrLocked)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, &FormatError{path, fmt.Sprintf("no journal, or damaged: %v", err)}
	case err != nil:
		return nil, fmt.Errorf("filejournal: %w", err)
	}
	s = &store{path: path, db: db}
	if err = s.check(); err == nil {
		err = s.recover(o.every())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if fresh {
		if dir, err := os.Open(filepath.Dir(path)); err == nil { // not every file system syncs a directory
			dir.Sync()
			dir.Close()
		}
	}
	return s, nil
}

// openFile is bbolt.Open, which panics at some damage.
func openFile(path string, o bbolt.Options) (db *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &FormatError{path, fmt.Sprintf("no journal, or damaged: %v", p)}
		}
	}()
	return bbolt.Open(path, 0o600, &o)
}

// check looks at the layout, which an empty file is given.
func (s *store) check() error {
	empty, known := true, false
	err := s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			if b := tx.Bucket(layoutBucket); b != nil {
				known = string(b.Get(layoutKey)) == string(layout)
				empty = false
			}
			return tx.ForEach(func([]byte, *bbolt.Bucket) error {
				empty = false
				return nil
			})
		})
	})
	switch {
	case err != nil:
		return err
	case known:
		return nil
	case !empty:
		return &FormatError{s.path, "no journal, or one of another version"}
	}
	return s.guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(layoutBucket)
			if err != nil {
				return err
			}
			return b.Put(layoutKey, layout)
		})
	})
}

// guard makes an error of a panic, as bbolt has them for what it finds in a damaged file.
func (s *store) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("filejournal: %s: damaged: %v", s.path, p)
			s.fail(err)
		}
	}()
	return f()
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

func (s *store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// load reads a queue into an index that has nothing in it.
func (s *store) load(name string, x *index.Index, damage func(*DamageError)) error {
	var pending []journal.Entry
	var dead []journal.DeadLetter
	var last journal.Position
	var merged uint64
	if s.tail != nil {
		s.turn.Lock()
		err := s.save()
		s.turn.Unlock()
		if err != nil {
			return fmt.Errorf("filejournal: %s: %w", s.path, err)
		}
	}
	err := s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketOf(name))
			if b == nil {
				return nil
			}
			return b.ForEach(func(k, v []byte) error {
				p := place(k)
				if p == count {
					if len(v) == 16 {
						last, merged = max(last, journal.Position(binary.BigEndian.Uint64(v))), binary.BigEndian.Uint64(v[8:])
					}
					return nil
				}
				d, err := decode(p, v)
				switch {
				case err != nil:
					at := binary.BigEndian.Uint64(p[1:])
					last = max(last, journal.Position(at))
					damage(&DamageError{s.path, name, at, err.Error()})
				case p[0] == ofDead:
					dead = append(dead, d)
				default:
					pending = append(pending, d.Entry)
				}
				return nil
			})
		})
	})
	if err == nil {
		x.Load(pending, dead, last, merged)
	}
	return err
}

// commit writes changes of a queue. Its error is journal.ErrNotWritten where they are surely not in the file.
func (s *store) commit(name string, c index.Changes) error {
	if err := s.failure(); err != nil {
		return fmt.Errorf("%s has failed and is to be opened again: %w: %w: %w", s.path, err, journal.ErrUnavailable, journal.ErrNotWritten)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	steps := stepsOf(name, c)
	pages, adds := s.adds(c)
	err := s.guard(func() error {
		if s.tail != nil {
			return s.append(steps, adds)
		}
		if adds {
			if err := s.makeRoom(pages); err != nil {
				return fmt.Errorf("no room: %w", err)
			}
		}
		return s.update(func(tx *bbolt.Tx) error { return apply(tx, steps, 0) })
	})
	if err == nil {
		return nil
	}
	if s.failure() != nil {
		return fmt.Errorf("%s: it is not known what is on the disk: %w: %w", s.path, err, journal.ErrUnavailable)
	}
	return fmt.Errorf("%s: %w: %w: %w", s.path, err, journal.ErrUnavailable, journal.ErrNotWritten)
}

// update runs a transaction, and remembers if it is not known what became of it: its last step names it as the one that counts, and if
// that failed for the disk alone it counts until the machine crashes, and perhaps afterwards.
func (s *store) update(f func(tx *bbolt.Tx) error) error {
	number := 0
	err := s.db.Update(func(tx *bbolt.Tx) error {
		number = tx.ID()
		return f(tx)
	})
	if err == nil || number == 0 {
		return err
	}
	counts := number
	s.db.View(func(tx *bbolt.Tx) error {
		counts = tx.ID()
		return nil
	})
	if counts >= number {
		s.fail(err)
	}
	return err
}

// stepsOf returns what the changes of a queue are to its records.
func stepsOf(name string, c index.Changes) (steps []step) {
	del := func(kind byte, at journal.Position) { steps = append(steps, step{queue: name, at: placeOf(kind, at)}) }
	put := func(kind byte, e *journal.Entry, d *journal.DeadLetter) {
		p := placeOf(kind, e.Position)
		steps = append(steps, step{name, p, encode(p, e, d)})
	}
	for _, k := range c.Keys {
		if was := k.WasPending; was != nil && was != k.Pending {
			del(ofPending, was.Position)
		}
		if was := k.WasDead; was != nil && was != k.Dead {
			del(ofDead, was.Position)
		}
		if e := k.Pending; e != nil && e != k.WasPending {
			put(ofPending, e, nil)
		}
		if d := k.Dead; d != nil && d != k.WasDead {
			put(ofDead, &d.Entry, d)
		}
	}
	counts := binary.BigEndian.AppendUint64(nil, uint64(c.Last))
	return append(steps, step{name, count, binary.BigEndian.AppendUint64(counts, c.Merged)})
}
