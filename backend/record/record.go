package record

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Version is the version of the header that this package writes.
const Version = 1

// HeaderLen is the length of a header. Anything shorter is not a record and counts as nothing.
const HeaderLen = 27

// FenceSlack is how long a fence outlives its expiry in the eyes of [Apply].
const FenceSlack = time.Second

const (
	tokenAt  = 3
	expiryAt = 19
)

// A Kind says what a record is for.
type Kind uint8

const (
	Value Kind = iota + 1 // holds a value
	Lease                 // is held by one fill
	Fence                 // is held by writers of the source
)

func (k Kind) String() string {
	switch k {
	case Value:
		return "value"
	case Lease:
		return "lease"
	case Fence:
		return "fence"
	}
	return "unknown"
}

// Flags are bits that no decision depends on; they are for people who look at a record.
type Flags uint8

// Dirty says that more than its first writer touched a fence.
const Dirty Flags = 1

// A Token names one record. It is unique to the attempt that wrote the record and is never used again, so that
// comparing tokens compares histories, not contents. The zero Token names no record.
type Token [16]byte

// NewToken returns a token that nobody has used.
func NewToken() Token {
	var t Token
	rand.Read(t[:]) // never fails, by its documentation
	return t
}

// IsZero reports whether t names no record.
func (t Token) IsZero() bool { return t == Token{} }

func (t Token) String() string { return hex.EncodeToString(t[:]) }

// A Header is the fixed part of a record.
type Header struct {
	Version uint8
	Kind    Kind
	Flags   Flags
	Token   Token
	Expiry  time.Time // whole milliseconds
}

// New returns the record that has h, in this package's version, and body. It copies body.
func New(h Header, body []byte) []byte {
	return append(AppendHeader(make([]byte, 0, HeaderLen+len(body)), h), body...)
}

// AppendHeader appends h, in this package's version, to dst: the body follows.
func AppendHeader(dst []byte, h Header) []byte {
	dst = append(dst, Version, byte(h.Kind), byte(h.Flags))
	dst = append(dst, h.Token[:]...)
	return binary.BigEndian.AppendUint64(dst, uint64(h.Expiry.UnixMilli()))
}

// Parse splits a record. The body aliases b. It reports false for what is too short to be a record, nil included.
func Parse(b []byte) (h Header, body []byte, ok bool) {
	if len(b) < HeaderLen {
		return Header{}, nil, false
	}
	return Header{
		Version: b[0],
		Kind:    Kind(b[1]),
		Flags:   Flags(b[2]),
		Token:   tokenOf(b),
		Expiry:  expiryOf(b),
	}, b[HeaderLen:], true
}

// TokenOf returns the token of a record, and the zero Token for what is none.
func TokenOf(b []byte) Token {
	if len(b) < HeaderLen {
		return Token{}
	}
	return tokenOf(b)
}

// Live returns b if it is a record that has not expired at now, else nil.
func Live(b []byte, now time.Time) []byte {
	if len(b) < HeaderLen || !now.Before(expiryOf(b).Add(slack(Kind(b[1])))) {
		return nil
	}
	return b
}

// Remaining returns how long a store has to keep the record b, at least a millisecond.
func Remaining(b []byte, now time.Time) time.Duration {
	return max(expiryOf(b).Add(slack(Kind(b[1]))).Sub(now), time.Millisecond)
}

func slack(k Kind) time.Duration {
	if k == Fence {
		return FenceSlack
	}
	return 0
}

func tokenOf(b []byte) Token { return Token(b[tokenAt:expiryAt]) }

func expiryOf(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[expiryAt:HeaderLen])))
}
