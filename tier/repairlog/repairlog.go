// Package repairlog keeps in a file what a cache has to repair, so that it outlasts the process: a tier.RepairLog.
//
//	log, err := repairlog.Open("/var/lib/shop/products.repairs")
//	products, err := tier.New("products", &tier.Options[int64, Product]{RepairLog: log, …})
//
// The file is a journal of records with checksums: a key was added, a key is done. It is synced to the disk when a key is added. A
// record that a crash cut short at the end had not been promised to anybody, and is dropped; any other damage is a [CorruptError],
// upon which the cache doubts everything until it is cleared. The journal is written anew when it has grown past what it tells.
package repairlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

const (
	magic   = "strata repairs 1\n"
	head    = 8       // of a record: the length of the rest, and its checksum
	maxRest = 1 << 20 // of a record: whether added or done, and the key
	slack   = 1 << 20 // how much the file may be longer than what it tells
)

// A CorruptError says that a log was damaged, so that keys may be missing.
type CorruptError struct {
	Path   string
	Offset int
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("repairlog: %s is damaged at byte %d", e.Path, e.Offset)
}

// A Log is a tier.RepairLog in a file, for one process at a time. It is safe for concurrent use.
type Log struct {
	path string

	mu      sync.Mutex
	file    *os.File            // guarded by mu, as all below
	pending map[string]struct{} // keys added and not done
	size    int                 // of the file
	live    int                 // of what it tells
	damage  error               // found by Open, told by Pending
}

var table = crc32.MakeTable(crc32.Castagnoli)

// Open opens the log at path, and makes it where there is none. Errors are those of the file; damage is told by Pending.
func Open(path string) (*Log, error) {
	l := &Log{path: path, pending: make(map[string]struct{})}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("repairlog: %w", err)
	}
	if len(b) > 0 {
		l.replay(b)
	}
	if err := l.rewrite(); err != nil {
		return nil, fmt.Errorf("repairlog: %w", err)
	}
	return l, nil
}

// replay reads what the file tells.
func (l *Log) replay(b []byte) {
	at := len(magic)
	if len(b) < at || string(b[:at]) != magic {
		l.damage = &CorruptError{Path: l.path}
		return
	}
	for len(b)-at >= head {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n < 1 || n > maxRest {
			l.damage = &CorruptError{Path: l.path, Offset: at}
			return
		}
		if len(b)-at-head < n {
			return // cut short
		}
		rest := b[at+head : at+head+n]
		if crc32.Checksum(rest, table) != binary.BigEndian.Uint32(b[at+4:]) {
			l.damage = &CorruptError{Path: l.path, Offset: at}
			return
		}
		l.note(rest[0] == '+', string(rest[1:]))
		at += head + n
	}
}

// note does to the keys what a record tells.
func (l *Log) note(added bool, key string) {
	_, have := l.pending[key]
	switch {
	case added && !have:
		l.pending[key] = struct{}{}
		l.live += head + 1 + len(key)
	case !added && have:
		delete(l.pending, key)
		l.live -= head + 1 + len(key)
	}
}

func record(op byte, key string) []byte {
	b := make([]byte, head, head+1+len(key))
	b = append(append(b, op), key...)
	binary.BigEndian.PutUint32(b, uint32(1+len(key)))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(b[head:], table))
	return b
}

// rewrite puts a file in place of the old one that tells only what is pending.
func (l *Log) rewrite() error {
	b := []byte(magic)
	for key := range l.pending {
		b = append(b, record('+', key)...)
	}
	next, err := os.CreateTemp(filepath.Dir(l.path), filepath.Base(l.path)+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(b)
	if err = errors.Join(err, next.Sync()); err == nil {
		err = os.Rename(next.Name(), l.path)
	}
	if err != nil {
		return errors.Join(err, next.Close(), os.Remove(next.Name()))
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.size = next, len(b)
	if dir, err := os.Open(filepath.Dir(l.path)); err == nil { // not every file system syncs a directory
		dir.Sync()
		dir.Close()
	}
	return nil
}

// Pending implements tier.RepairLog. Its error is a [CorruptError].
func (l *Log) Pending() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.pending)), l.damage
}

// Add implements tier.RepairLog.
func (l *Log) Add(key string) error { return l.write(true, key) }

// Done implements tier.RepairLog. It does not wait for the disk: what is repaired twice does no harm.
func (l *Log) Done(key string) error { return l.write(false, key) }

func (l *Log) write(added bool, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, have := l.pending[key]; have == added {
		return nil
	}
	if len(key) >= maxRest {
		return fmt.Errorf("repairlog: a key of %d bytes", len(key))
	}
	op := byte('-')
	if added {
		op = '+'
	}
	b := record(op, key)
	_, err := l.file.WriteAt(b, int64(l.size)) // over what a failed write left
	if err == nil && added {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("repairlog: %w", err)
	}
	l.size += len(b)
	l.note(added, key)
	if l.size > l.live+slack {
		if err := l.rewrite(); err != nil {
			return fmt.Errorf("repairlog: %w", err)
		}
	}
	return nil
}

// Close closes the file. What is pending stays in it.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
