package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A Trace is a recorded sequence of accesses. It holds each distinct key once and four bytes for each access.
type Trace struct {
	name     string
	keys     []string
	sequence []uint32 // indexes of keys
}

// Name is the base name of the file.
func (t *Trace) Name() string { return t.name }

// Accesses is how many accesses were recorded.
func (t *Trace) Accesses() int { return len(t.sequence) }

// DistinctKeys is how many different keys they were for.
func (t *Trace) DistinctKeys() int { return len(t.keys) }

// TraceOptions bound what ReadTrace takes. nil and zero values mean the defaults.
type TraceOptions struct {
	// Format is how keys are written. Default FormatAuto.
	Format Format

	// MaxAccesses is how many accesses a trace may have. Default 100 million, which takes 400 MB.
	MaxAccesses int

	// MaxKeyBytes is how many bytes the distinct keys may have in all. Default 256 MiB.
	MaxKeyBytes int

	// First, if positive, ends the trace after that many accesses. Default 0: all are read.
	First int
}

const (
	defaultMaxAccesses = 100_000_000
	defaultMaxKeyBytes = 256 << 20
)

// A TraceError says where a trace file is not what it should be.
type TraceError struct {
	File   string
	Offset int64 // in the decompressed data, in bytes
	Err    error
}

func (e *TraceError) Error() string {
	return fmt.Sprintf("bench: trace %s: at byte %d of its data: %v", e.File, e.Offset, e.Err)
}

func (e *TraceError) Unwrap() error { return e.Err }

// Errors of traces; errors.Is finds them in a *TraceError.
var (
	// ErrTruncated says that a trace ends in the middle of something.
	ErrTruncated = errors.New("the file is truncated")

	// ErrTooLarge says that a trace exceeds a limit of TraceOptions.
	ErrTooLarge = errors.New("the trace is too large")

	// ErrMalformed says that the data are no trace.
	ErrMalformed = errors.New("the data are no trace")
)

// ReadTrace reads the trace in a file, which may be compressed by gzip or xz: its content says so, not its name.
func ReadTrace(path string, o *TraceOptions) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("bench: trace: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("bench: trace %s: is a folder", path)
	}
	return ParseTrace(path, f, o)
}

// ParseTrace reads the trace in r. name stands for it in errors, and its base in reports.
func ParseTrace(name string, r io.Reader, o *TraceOptions) (*Trace, error) {
	opts := TraceOptions{}
	if o != nil {
		opts = *o
	}
	if opts.MaxAccesses <= 0 {
		opts.MaxAccesses = defaultMaxAccesses
	}
	if opts.MaxKeyBytes <= 0 {
		opts.MaxKeyBytes = defaultMaxKeyBytes
	}
	data, err := decompress(bufio.NewReaderSize(r, 64<<10))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &TraceError{File: name, Err: fmt.Errorf("%w: %w", ErrTruncated, err)}
	case err != nil:
		return nil, &TraceError{File: name, Err: err}
	}
	b := &builder{trace: &Trace{name: filepath.Base(name)}, opts: opts, index: make(map[string]uint32)}
	offset, err := readKeys(data, opts.Format, b.add)
	switch {
	case errors.Is(err, errEnough):
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &TraceError{File: name, Offset: offset, Err: fmt.Errorf("%w: %w", ErrTruncated, err)}
	case err != nil:
		return nil, &TraceError{File: name, Offset: offset, Err: err}
	case len(b.trace.sequence) == 0:
		return nil, &TraceError{File: name, Offset: offset, Err: fmt.Errorf("%w: it is empty", ErrMalformed)}
	}
	return b.trace, nil
}

// errEnough ends the reading of a trace of which no more is wanted.
var errEnough = errors.New("enough")

// builder makes a Trace of keys.
type builder struct {
	trace *Trace
	opts  TraceOptions
	index map[string]uint32
	bytes int // of distinct keys
}

// add appends one access. It keeps nothing of key.
func (b *builder) add(key []byte) error {
	t := b.trace
	if len(t.sequence) >= b.opts.MaxAccesses {
		return fmt.Errorf("%w: it has more than %d accesses", ErrTooLarge, b.opts.MaxAccesses)
	}
	i, known := b.index[string(key)]
	if !known {
		if b.bytes += len(key); b.bytes > b.opts.MaxKeyBytes {
			return fmt.Errorf("%w: its distinct keys have more than %d bytes", ErrTooLarge, b.opts.MaxKeyBytes)
		}
		i = uint32(len(t.keys))
		k := string(key)
		t.keys = append(t.keys, k)
		b.index[k] = i
	}
	t.sequence = append(t.sequence, i)
	if b.opts.First > 0 && len(t.sequence) >= b.opts.First {
		return errEnough
	}
	return nil
}
