package codec

import (
	"encoding/binary"
	"slices"
	"time"
)

// ParseEnvelope returns the envelope in body, the whole of it, if s is the seal under which it was made. Any error is a
// [*DecodeError].
//
// The version is looked at first, since it says how to read the rest; then the checksum, before anything else is
// believed. A critical extension that is not one of understands is an error. Payload and the values of extensions alias
// body; tags do not.
func ParseEnvelope(body []byte, s Seal, understands ...ExtensionType) (Envelope, error) {
	if len(body) == 0 {
		return Envelope{}, fail(ReasonTruncated, "no body")
	}
	if len(body) > MaxBody {
		return Envelope{}, fail(ReasonTooLarge, "the body exceeds the limit")
	}
	if body[versionAt] == encryptedVersion {
		return Envelope{}, fail(ReasonKey, "encrypted, and no key is configured here")
	}
	if body[versionAt] != EnvelopeVersion {
		return Envelope{}, fail(ReasonVersion, "another version of the envelope")
	}
	if len(body) < minBody {
		return Envelope{}, fail(ReasonTruncated, "the body is shorter than any")
	}
	sealed := body[:len(body)-sumLen]
	if binary.BigEndian.Uint64(body[len(sealed):]) != s.sum(sealed) {
		return Envelope{}, fail(ReasonChecksum, "the body is not what was written for this key and record")
	}
	return parseSealed(sealed, understands...)
}

// parseSealed parses an envelope without its checksum, which was right, or which a cipher has replaced. Neither proves good
// intentions: every length is still checked.
func parseSealed(b []byte, understands ...ExtensionType) (Envelope, error) {
	flags := b[flagsAt]
	if flags&^flagsKnown != 0 {
		return Envelope{}, fail(ReasonVersion, "a flag of another version of the envelope")
	}
	e := Envelope{
		Codec:       ID(b[codecAt]),
		Schema:      binary.BigEndian.Uint64(b[schemaAt:]),
		Created:     timeOf(b[createdAt:]),
		SoftExpiry:  timeOf(b[softExpiryAt:]),
		Incarnation: [16]byte(b[incarnationAt:positionAt]),
		Position:    binary.BigEndian.Uint64(b[positionAt:]),
		Version:     binary.BigEndian.Uint64(b[sourceAt:]),
		JournalSeq:  binary.BigEndian.Uint64(b[journalAt:]),
		Negative:    flags&flagNegative != 0,
	}
	rest := b[fixedLen:]
	var err error
	if e.Tags, rest, err = parseTags(rest, int(binary.BigEndian.Uint16(b[tagsAt:]))); err != nil {
		return Envelope{}, err
	}
	if e.Extensions, rest, err = parseExtensions(rest, int(binary.BigEndian.Uint16(b[extensionsAt:]))); err != nil {
		return Envelope{}, err
	}
	if uint64(binary.BigEndian.Uint32(b[payloadAt:])) != uint64(len(rest)) {
		return Envelope{}, fail(ReasonHostile, "the payload is not as long as declared")
	}
	if e.Negative && len(rest) > 0 {
		return Envelope{}, fail(ReasonHostile, "negative, but with a payload")
	}
	for _, x := range e.Extensions {
		if x.Critical && !slices.Contains(understands, x.Type) {
			return Envelope{}, fail(ReasonExtension, "a critical extension that is not understood")
		}
	}
	e.Payload = rest[:len(rest):len(rest)] // its capacity ends with it: appending to it leaves the checksum alone
	return e, nil
}

// parseTags returns the n tags at the start of b and what follows them. The tags share one copy of their bytes.
func parseTags(b []byte, n int) (tags []string, rest []byte, err error) {
	if n == 0 {
		return nil, b, nil
	}
	if n > MaxTags {
		return nil, nil, fail(ReasonTooLarge, "more tags than the limit")
	}
	end := 0
	for range n {
		if len(b)-end < 2 {
			return nil, nil, fail(ReasonHostile, "more tags than bytes")
		}
		size := int(binary.BigEndian.Uint16(b[end:]))
		if size > MaxTag {
			return nil, nil, fail(ReasonTooLarge, "a tag exceeds the limit")
		}
		end += 2
		if size > len(b)-end {
			return nil, nil, fail(ReasonHostile, "a tag beyond the end of the body")
		}
		end += size
	}
	all := string(b[:end])
	tags = make([]string, n)
	for i, at := 0, 0; i < n; i++ {
		size := int(binary.BigEndian.Uint16(b[at:]))
		at += 2
		tags[i] = all[at : at+size]
		at += size
	}
	return tags, b[end:], nil
}

// extensionHead is the length of an extension's type, flags and length.
const extensionHead = 7

// parseExtensions returns the n extensions at the start of b, which alias it, and what follows them.
func parseExtensions(b []byte, n int) (extensions []Extension, rest []byte, err error) {
	if n == 0 {
		return nil, b, nil
	}
	if n > MaxExtensions {
		return nil, nil, fail(ReasonTooLarge, "more extensions than the limit")
	}
	extensions = make([]Extension, n)
	var last ExtensionType
	for i := range extensions {
		if len(b) < extensionHead {
			return nil, nil, fail(ReasonHostile, "more extensions than bytes")
		}
		kind, flags, size := ExtensionType(binary.BigEndian.Uint16(b)), b[2], binary.BigEndian.Uint32(b[3:])
		b = b[extensionHead:]
		switch {
		case kind <= last:
			return nil, nil, fail(ReasonHostile, "extensions out of order")
		case flags&^flagCritical != 0:
			return nil, nil, fail(ReasonVersion, "a flag of another version of an extension")
		case size > MaxExtension:
			return nil, nil, fail(ReasonTooLarge, "an extension exceeds the limit")
		case uint64(size) > uint64(len(b)):
			return nil, nil, fail(ReasonHostile, "an extension beyond the end of the body")
		}
		extensions[i] = Extension{Type: kind, Critical: flags&flagCritical != 0, Value: b[:size:size]}
		b, last = b[size:], kind
	}
	return extensions, b, nil
}

// timeOf returns the time at the start of b. The milliseconds of the zero time, and no others, are no time.
func timeOf(b []byte) time.Time {
	t := time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
	if t.IsZero() {
		return time.Time{}
	}
	return t
}
