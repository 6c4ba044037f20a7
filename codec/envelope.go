package codec

import "time"

// EnvelopeVersion is the version of the envelope that this package writes, and the only one it reads. The body of an
// encrypted envelope begins with 2.
const EnvelopeVersion = 1

// Limits of what is written and read.
const (
	MaxBody       = 64 << 20 // bytes of a body, payload included
	MaxTags       = 1024     // tags of a body
	MaxTag        = 4096     // bytes of a tag
	MaxExtensions = 16       // extensions of a body
	MaxExtension  = 64 << 10 // bytes of an extension
)

// An Envelope is the body of a value's record: the payload and what is known of it.
type Envelope struct {
	// Codec and Schema say what can decode the payload, see [Codec].
	Codec  ID
	Schema uint64

	// Created is when the value was made, SoftExpiry from when on a newer one is wanted; zero is none. They are kept as
	// whole milliseconds, rounded down, and come back in UTC.
	Created    time.Time
	SoftExpiry time.Time

	// Tags are the names under which the value can be invalidated together with others, in the order they were given.
	Tags []string

	// Incarnation and Position are what this node knew of the cache's markers before the load began: which invalidations by
	// tag.
	Incarnation [16]byte
	Position    uint64

	// Version is the version of the value at its source, 0 where the source has none. JournalSeq is the journal entry
	// that holds the write, 0 for none.
	Version    uint64
	JournalSeq uint64

	// Negative says that the source has no such value. There is no payload then.
	Negative bool

	// Extensions hold what later versions add, in ascending order of their types, each type once.
	Extensions []Extension

	// Payload is what the codec made of the value.
	Payload []byte

	// Size is the length of the payload before it was compressed. Encode and Decode set it; it is not stored.
	Size int
}

// An Extension is a part of an envelope that not every program understands.
type Extension struct {
	Type ExtensionType

	// Critical says that the payload means nothing to a program that does not understand this extension. To such a
	// program the body is a miss; one that is not critical is kept in the envelope and otherwise ignored.
	Critical bool

	Value []byte
}

// An ExtensionType names what an extension is for. A number is never used for anything else.
type ExtensionType uint16

const (
	// ExtensionCompression says that the payload is what a [Compressor] made of it. It is critical and has no value: the
	// form says itself how it was made.
	ExtensionCompression ExtensionType = 1

	// ExtensionPosition holds up to where the node had applied the bus's log before the load began: the log's incarnation and
	// the number there, 16 and 8 bytes.
	ExtensionPosition ExtensionType = 2

	// ExtensionApplication is the first of the numbers that applications may use.
	ExtensionApplication ExtensionType = 0x8000
)

// The layout of the fixed part. All numbers are big endian. The variable part and the checksum follow.
const (
	versionAt     = 0
	flagsAt       = 1
	codecAt       = 2
	schemaAt      = 3
	createdAt     = 11
	softExpiryAt  = 19
	incarnationAt = 27
	positionAt    = 43
	sourceAt      = 51
	journalAt     = 59
	tagsAt        = 67
	extensionsAt  = 69
	payloadAt     = 71
	fixedLen      = 75

	sumLen  = 8
	minBody = fixedLen + sumLen
)

const (
	flagNegative = 1 << iota
	flagsKnown   = flagNegative
)

// flagCritical is the flag of a critical extension.
const flagCritical = 1
