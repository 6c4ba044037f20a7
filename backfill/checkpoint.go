package backfill

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Checkpoint keeps the position up to which all is done, wherever the application wants it. Its methods are not called at the
// same time.
type Checkpoint interface {
	// Load returns what was saved last, nil for nothing.
	Load(ctx context.Context) ([]byte, error)

	// Save replaces that. When it returns nil, position outlasts the process.
	Save(ctx context.Context, position []byte) error
}

// File is a checkpoint in a file, which is replaced as a whole, and forced to the disk. One that is damaged is an error. Delete it to
// begin from the start.
func File(path string) Checkpoint { return file(path) }

type file string

const fileHead = "strata backfill 1 "

func (f file) Load(context.Context) ([]byte, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("backfill: checkpoint: %w", err)
	}
	head, position, _ := strings.Cut(string(b), "\n")
	if head != fileHead+sum(position) {
		return nil, fmt.Errorf("backfill: checkpoint %s is damaged, or another file: delete it to begin from the start", string(f))
	}
	return []byte(position), nil
}

func sum(position string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(position), crc32.MakeTable(crc32.Castagnoli)))
}

func (f file) Save(_ context.Context, position []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("backfill: checkpoint: %w", err)
		}
	}()
	dir := filepath.Dir(string(f))
	next, err := os.CreateTemp(dir, filepath.Base(string(f))+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) // where it was not renamed
	_, err = fmt.Fprintf(next, "%s%s\n%s", fileHead, sum(string(position)), position)
	if err == nil {
		err = next.Sync()
	}
	if err = errors.Join(err, next.Close()); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), string(f)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
