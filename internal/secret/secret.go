// Package secret reads keys, and tells of them without showing them. What is said of a key is said in one place, for those who
// encrypt and those who authenticate.
package secret

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// CheckID reports why id cannot name a key.
func CheckID(id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("key %q: the id must be 1 to 64 letters, digits, '.', '_' or '-'", id)
	}
	return nil
}

// CheckRandom reports whether key is certainly not random: one byte, over and over. The error names id alone.
func CheckRandom(id string, key []byte) error {
	for _, b := range key {
		if b != key[0] {
			return nil
		}
	}
	return fmt.Errorf("key %q: all bytes are the same: it must be random", id)
}

// Parse reads a key of size bytes, written in hexadecimal, or in base64 of either alphabet, with or without padding. Space around
// it is ignored, so that it can be read from a file. The error does not quote it.
func Parse(id, text string, size int) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(size) {
		if key, err := hex.DecodeString(text); err == nil {
			return key, nil
		}
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawStdEncoding.Strict().DecodeString(plain)
	if err != nil || len(key) != size { // err quotes what it found
		return nil, fmt.Errorf("key %q: %d characters that are not %d bytes in base64 or hexadecimal", id, len(text), size)
	}
	return key, nil
}
