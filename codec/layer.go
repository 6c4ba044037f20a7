package codec

// A Compressor makes payloads shorter. Package codec/compression has one. Its methods are called concurrently.
type Compressor interface {
	// Compress appends a shorter form of payload to dst and reports true, or reports false if payload should stay as it
	// is: what is appended means nothing then. The form holds all that Decompress needs. It keeps neither slice.
	Compress(dst, payload []byte) ([]byte, bool)

	// Decompress returns, in memory of its own, the payload that compressed is a form of. compressed may be anything that
	// somebody with access to the remote tier put there: what it declares must be compared with a limit before anything is
	// allocated for it. Of an error that is no [*DecodeError] only the type is kept, as [ReasonCompression].
	Decompress(compressed []byte) ([]byte, error)
}

// A Cipher encrypts whole envelopes, and proves that nobody without its key wrote or moved them. Package codec/encryption
// has one. Its methods are called concurrently.
type Cipher interface {
	// Encrypt appends to dst the encryption of plaintext, bound to context: Decrypt fails under another. It keeps none of
	// the slices, and dst overlaps neither of the others. The same plaintext never gives the same bytes again.
	Encrypt(dst, plaintext, context []byte) ([]byte, error)

	// Decrypt returns, in memory of its own, what was encrypted under context, or an error and no part of it. A
	// [*DecodeError] with [ReasonKey] says that the key is not known, one with [ReasonAuthentication] that no holder of
	// the key wrote this for this context; it must not say more. It leaves ciphertext as it is.
	Decrypt(ciphertext, context []byte) ([]byte, error)
}

// encryptedVersion is the first byte of a body that is encrypted. What a Cipher made of an envelope follows.
const encryptedVersion = 2

// encrypt appends to dst the body that is the encryption of inner, an envelope without its checksum.
func encrypt(c Cipher, dst, inner []byte, s Seal) ([]byte, error) {
	buffer := buffers.Get().(*[]byte)
	context := s.appendContext((*buffer)[:0])
	out, err := c.Encrypt(append(dst, encryptedVersion), inner, context)
	keepBuffer(buffer, context)
	return out, err
}

// decrypt returns the envelope in body, without a checksum.
func decrypt(c Cipher, body []byte, s Seal) ([]byte, error) {
	switch {
	case len(body) == 0:
		return nil, fail(ReasonTruncated, "no body")
	case body[versionAt] == EnvelopeVersion:
		return nil, fail(ReasonPlain, "not encrypted, and encryption is configured here")
	case body[versionAt] != encryptedVersion:
		return nil, fail(ReasonVersion, "another version of the envelope")
	}
	buffer := buffers.Get().(*[]byte)
	context := s.appendContext((*buffer)[:0])
	inner, err := c.Decrypt(body[1:], context)
	keepBuffer(buffer, context)
	switch {
	case err != nil:
		return nil, asDecodeError(ReasonAuthentication, "the cipher", err)
	case len(inner) < fixedLen || inner[versionAt] != EnvelopeVersion:
		return nil, fail(ReasonVersion, "another version of the encrypted envelope")
	}
	return inner, nil
}

// appendContext appends what encryption binds a body to: all of s. The fixed part comes first, so no two seals share one.
func (s Seal) appendContext(dst []byte) []byte {
	dst = append(dst, "strata body"...)
	dst = append(dst, encryptedVersion, s.Version, s.Kind)
	dst = append(dst, s.Token[:]...)
	return append(dst, s.Key...)
}
