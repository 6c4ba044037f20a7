package backend

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/strata-cache/strata/backend/driver"
)

const hexDigits = "0123456789ABCDEF"

// escape turns any key into one that every driver takes: printable ASCII without spaces, at most [driver.MaxKey] bytes.
// Different keys stay different: percent-encoding is reversible, and what is too long is replaced by '~' and its
// SHA-256, where '~' cannot come from a key. Of a key with braces only what is between them is replaced if that is
// enough, so that keys which belong on one server stay there.
func escape(key string) string {
	clean := len(key) > 0 && len(key) <= driver.MaxKey
	for i := 0; clean && i < len(key); i++ {
		clean = plain(key[i])
	}
	if clean {
		return key
	}
	var b strings.Builder
	b.Grow(len(key) + 16)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	escaped := b.String()
	switch {
	case escaped == "":
		return "%" // no byte escapes to this
	case len(escaped) <= driver.MaxKey:
		return escaped
	}
	if before, rest, ok := strings.Cut(escaped, "{"); ok {
		if inside, after, ok := strings.Cut(rest, "}"); ok {
			if short := before + "{" + digest(inside) + "}" + after; len(short) <= driver.MaxKey {
				return short
			}
		}
	}
	return digest(escaped)
}

// unescape undoes escape where that is possible. A shortened key comes back as it is stored.
func unescape(key string) string {
	if key == "%" {
		return ""
	}
	if !strings.Contains(key, "%") || strings.Contains(key, "~") {
		return key
	}
	b := make([]byte, 0, len(key))
	for i := 0; i < len(key); i++ {
		if key[i] == '%' && i+2 < len(key) {
			hi, lo := strings.IndexByte(hexDigits, key[i+1]), strings.IndexByte(hexDigits, key[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, key[i])
	}
	return string(b)
}

func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' && c != '~' }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "~" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// space returns the beginning of all keys of a key space. Braces and the closing slash are escaped in the name, so that no
// space lies within another's, whatever the bytes.
func space(name string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F", "{", "%7B", "}", "%7D").Replace(name) + "/"
}
