package compression

import (
	"errors"
	"fmt"

	"github.com/strata-cache/strata/codec"
)

// An Algorithm is how payloads are compressed. Its number is stored with each, and never used for another.
type Algorithm uint8

const (
	S2   Algorithm = 1 // fast: the default
	Zstd Algorithm = 2 // small
)

func (a Algorithm) String() string {
	switch a {
	case S2:
		return "s2"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("algorithm %d", uint8(a))
}

// ParseAlgorithm returns the algorithm whose String is name.
func ParseAlgorithm(name string) (Algorithm, error) {
	for _, a := range []Algorithm{S2, Zstd} {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("compression: algorithm %q: must be s2 or zstd", name)
}

// Options configures a Compressor. The zero value is S2 from 1 KiB on.
type Options struct {
	// Algorithm is what is written with. Both are read. Default S2.
	Algorithm Algorithm

	// Threshold is the length in bytes from which payloads are compressed. Default 1024, or 64 where there is a
	// dictionary; at least 16.
	Threshold int

	// MaxSize bounds a payload in bytes, uncompressed. Longer ones are written as they are, and one that declares more
	// is a miss (codec.ReasonTooLarge). It has to be the same on all nodes of a cache. Default 16 MiB; from 1 KiB to
	// codec.MaxBody.
	MaxSize int

	// Dictionaries are bytes that resemble the payloads: some encoded values one after the other, the most typical
	// last, or what "zstd --train" made of them. The first is for writing, all are for reading. Each has from 64 bytes to
	// 64 KiB. It pays for payloads up to a few KiB; those over 16 KiB are compressed without. Default none.
	Dictionaries [][]byte
}

const (
	defaultThreshold           = 1 << 10
	defaultDictionaryThreshold = 64
	minThreshold               = 16
	defaultMaxSize             = 16 << 20
	minMaxSize                 = 1 << 10
	minDictionary              = 64
	maxDictionary              = 64 << 10
	maxWithDictionary          = 16 << 10
)

// withDefaults returns a copy with every default filled in; o may be nil.
func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Algorithm == 0 {
		out.Algorithm = S2
	}
	if out.Threshold == 0 {
		out.Threshold = defaultThreshold
		if len(out.Dictionaries) > 0 {
			out.Threshold = defaultDictionaryThreshold
		}
	}
	if out.MaxSize == 0 {
		out.MaxSize = defaultMaxSize
	}
	return out
}

// validate names every problem at once, each with the field it is about.
func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Algorithm != S2 && o.Algorithm != Zstd {
		bad("Algorithm %d: must be S2 or Zstd", o.Algorithm)
	}
	if o.Threshold < minThreshold {
		bad("Threshold %d: must be at least %d", o.Threshold, minThreshold)
	}
	if o.MaxSize < minMaxSize || o.MaxSize > codec.MaxBody {
		bad("MaxSize %d: must be from %d to %d", o.MaxSize, minMaxSize, codec.MaxBody)
	}
	for i, d := range o.Dictionaries {
		if len(d) < minDictionary || len(d) > maxDictionary {
			bad("Dictionaries[%d]: %d bytes: must be from %d to %d", i, len(d), minDictionary, maxDictionary)
		}
	}
	return errors.Join(errs...)
}
