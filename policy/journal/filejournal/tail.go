package filejournal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// A step is one record that is written, or taken out where value is nil.
type step struct {
	queue string
	at    place
	value []byte
}

// A tail is a file beside the other, to which commits are appended that reach the other later, together, and with one wait for the disk.
// What it holds survives the process. It is a row of frames
//
//	length of the rest, 4 | CRC-32C of the rest, 4 | number, 8 | steps: each queue, place and value, length first; a value's is one more
//
// whose numbers go on from the last one that the other file has: after a crash of the machine those count that stand in a row.
type tail struct {
	file    *os.File
	size    int64
	number  uint64 // of the last frame
	unsaved []step
	behind  error // why the other file does not have them, if it should

	stop  chan struct{}
	ended sync.WaitGroup // the goroutine that saves
}

const (
	frameHead = 8
	maxTail   = 256 << 20 // of a tail that is not saved; beyond it nothing more is accepted
)

var savedKey = []byte("saved")

func tailOf(path string) string { return path + ".tail" }

func appendFrame(b []byte, number uint64, steps []step) []byte {
	from := len(b)
	b = append(b, make([]byte, frameHead)...)
	b = binary.BigEndian.AppendUint64(b, number)
	for _, s := range steps {
		b = append(binary.AppendUvarint(b, uint64(len(s.queue))), s.queue...)
		b = append(b, s.at[:]...)
		if s.value == nil {
			b = binary.AppendUvarint(b, 0)
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(s.value))+1), s.value...)
	}
	rest := b[from+frameHead:]
	binary.BigEndian.PutUint32(b[from:], uint32(len(rest)))
	binary.BigEndian.PutUint32(b[from+4:], crc32.Checksum(rest, table))
	return b
}

// frames returns the steps of the frames that follow the one of that number, and the number of the last. Frames up to it are skipped.
func frames(b []byte, number uint64) (steps []step, last uint64) {
	for len(b) >= frameHead {
		n := uint64(binary.BigEndian.Uint32(b))
		if n < 8 || uint64(len(b)-frameHead) < n {
			break
		}
		rest := b[frameHead : frameHead+n]
		if crc32.Checksum(rest, table) != binary.BigEndian.Uint32(b[4:]) {
			break
		}
		b = b[frameHead+n:]
		of := binary.BigEndian.Uint64(rest)
		if of <= number && len(steps) == 0 {
			continue
		}
		if of != number+1 {
			break
		}
		number = of
		for r := (reader{b: rest[8:]}); len(r.b) > 0; {
			s := step{queue: string(r.bytes())}
			copy(s.at[:], r.take(uint64(len(s.at))))
			if n := r.varint(); n > 0 {
				s.value = append([]byte{}, r.take(n-1)...)
			}
			steps = append(steps, s)
		}
	}
	return steps, number
}

// apply makes steps in a transaction, and notes that it has those of the tail up to a frame.
func apply(tx *bbolt.Tx, steps []step, number uint64) error {
	for _, s := range steps {
		b, err := tx.CreateBucketIfNotExists(bucketOf(s.queue))
		if err != nil {
			return err
		}
		b.FillPercent = 0.9 // most comes behind all that is there
		if s.value == nil {
			err = b.Delete(s.at[:])
		} else {
			err = b.Put(s.at[:], s.value)
		}
		if err != nil {
			return err
		}
	}
	if number == 0 {
		return nil
	}
	return tx.Bucket(layoutBucket).Put(savedKey, binary.BigEndian.AppendUint64(nil, number))
}

// recover saves what an earlier process has left in its tail, and opens one if every is not 0.
func (s *store) recover(every time.Duration) error {
	b, err := os.ReadFile(tailOf(s.path))
	if errors.Is(err, os.ErrNotExist) && every == 0 {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("filejournal: %w", err)
	}
	var number uint64
	err = s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			if v := tx.Bucket(layoutBucket).Get(savedKey); len(v) == 8 {
				number = binary.BigEndian.Uint64(v)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	steps, number := frames(b, number)
	if len(steps) > 0 {
		if err := s.guard(func() error {
			if err := s.update(func(tx *bbolt.Tx) error { return apply(tx, steps, number) }); err != nil {
				return err
			}
			return s.db.Sync()
		}); err != nil {
			return fmt.Errorf("filejournal: %s: %w", tailOf(s.path), err)
		}
	}
	if every == 0 {
		return os.Remove(tailOf(s.path))
	}
	file, err := os.OpenFile(tailOf(s.path), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("filejournal: %w", err)
	}
	s.tail = &tail{file: file, number: number, stop: make(chan struct{})}
	s.tail.ended.Go(func() { s.saves(every) }) // ends with stop; joined by close
	return nil
}

// saves saves the tail again and again.
func (s *store) saves(every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			s.turn.Lock()
			s.save()
			s.turn.Unlock()
		case <-s.tail.stop:
			return
		}
	}
}

// save brings what the tail holds to the other file, and empties it. It is called with turn held.
func (s *store) save() error {
	t := s.tail
	if len(t.unsaved) == 0 || s.failure() != nil {
		return s.failure()
	}
	t.unsaved = newest(t.unsaved)
	t.behind = s.guard(func() error {
		return s.update(func(tx *bbolt.Tx) error { return apply(tx, t.unsaved, t.number) })
	})
	if t.behind != nil {
		return t.behind
	}
	t.unsaved, t.size = nil, 0
	if err := t.file.Truncate(0); err != nil {
		s.fail(err) // its next frame would stand behind old ones
		return err
	}
	return nil
}

// newest returns of all steps at a place the last: what came and went needs no room.
func newest(steps []step) []step {
	type where struct {
		queue string
		at    place
	}
	seen := make(map[where]bool, len(steps))
	from := len(steps)
	for i := len(steps) - 1; i >= 0; i-- {
		if w := (where{steps[i].queue, steps[i].at}); !seen[w] {
			seen[w] = true
			from--
			steps[from] = steps[i]
		}
	}
	return steps[from:]
}

// append adds a frame. It is called with turn held. Where adds is true it makes more pending. Its error says that it surely did not, unless
// the store has failed.
func (s *store) append(steps []step, adds bool) error {
	t := s.tail
	if adds && (t.behind != nil || t.size > maxTail) {
		if err := s.save(); err != nil { // what is accepted has to be on the disk in time
			return err
		}
	}
	frame := appendFrame(nil, t.number+1, steps)
	if adds { // what is accepted has to have room in the other file, too
		room := func() error {
			return s.makeRoom(2*(int(t.size)+len(frame))/s.db.Info().PageSize + 2*(len(t.unsaved)+len(steps)))
		}
		err := room()
		if err != nil && s.save() == nil { // what is done is still there until it is saved
			err = room()
		}
		if err != nil {
			return fmt.Errorf("no room: %w", err)
		}
	}
	_, err := t.file.WriteAt(frame, t.size)
	if err != nil {
		if cut := t.file.Truncate(t.size); cut != nil {
			s.fail(cut)
			return err
		}
		if s.save() != nil || t.size > 0 {
			return err
		}
		if _, err = t.file.WriteAt(frame, 0); err != nil { // what was saved has made room
			s.fail(err)
			return err
		}
	}
	t.number++
	t.size += int64(len(frame))
	t.unsaved = append(t.unsaved, steps...)
	return nil
}

// close saves and closes the file.
func (s *store) close() error {
	var err error
	if t := s.tail; t != nil {
		close(t.stop)
		t.ended.Wait()
		s.turn.Lock()
		defer s.turn.Unlock()
		if err = errors.Join(s.save(), t.file.Close()); err == nil {
			err = os.Remove(tailOf(s.path))
		}
	}
	return errors.Join(err, s.db.Close())
}
