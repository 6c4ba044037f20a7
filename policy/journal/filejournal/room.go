package filejournal

import (
	"go.etcd.io/bbolt"

	"github.com/strata-cache/strata/policy/journal/internal/index"
)

// reserve is how many free pages a write leaves in the file. A change is written to free pages before the old ones are free, also where
// something is taken out: without a reserve nothing could leave a journal whose disk is full.
const reserve = 128

var roomBucket = []byte("room")

// adds reports whether a commit makes more pending, and how many pages it may need.
func (s *store) adds(c index.Changes) (pages int, adds bool) {
	size := 0
	for _, k := range c.Keys {
		if e := k.Pending; e != nil && e != k.WasPending {
			adds = true
			size += 64 + len(e.Key) + len(e.Source) + len(e.Value)
		}
		pages += 2 // of what is taken out
	}
	return pages + 2*size/s.db.Info().PageSize, adds
}

// makeRoom lets the file grow until so many pages are free beside the reserve. It is called with turn held.
func (s *store) makeRoom(pages int) error {
	free := s.db.Stats()
	if free.FreePageN+free.PendingPageN >= pages+reserve {
		return nil
	}
	size := 2 * (pages + reserve) * s.db.Info().PageSize
	if info := s.size(); info/8 > int64(size) {
		size = int(min(info/8, 16<<20))
	}
	// What was once written the disk has room for, also when it is full later.
	if err := s.update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(roomBucket)
		if err != nil {
			return err
		}
		return b.Put(roomBucket, make([]byte, size))
	}); err != nil {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(roomBucket) })
}

// size returns that of the file.
func (s *store) size() (n int64) {
	s.db.View(func(tx *bbolt.Tx) error {
		n = tx.Size()
		return nil
	})
	return n
}
