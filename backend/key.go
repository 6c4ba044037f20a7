package backend

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/strata-cache/strata/backend/driver"
)

const hexDigits = "0123456789ABCDEF"

// digestLen is the length of what digest returns, and maxSpace what leaves room for one, and for more, in every key space.
const (
	digestLen = 44
	maxSpace  = driver.MaxKey - 2*digestLen
)

// escape turns any key of a key space into one that every driver takes: printable ASCII without spaces, at most
// [driver.MaxKey] bytes. Different keys stay different: percent-encoding is reversible, and what is too long is
// replaced by '~' and its SHA-256, where '~' cannot come from a key. Of a key with braces only what is between them is
// replaced if that is enough, so that keys which belong on one server stay there. The space stays in front in any
// case, so that listing a space finds all its keys.
func escape(space, key string) string {
	if escaped := space + percent(key); escaped == "" {
		return "%" // no byte escapes to this
	} else if len(escaped) <= driver.MaxKey {
		return escaped
	}
	return space + shorten(percent(key), driver.MaxKey-len(space))
}

// shorten makes escaped fit into room, which is at least digestLen.
func shorten(escaped string, room int) string {
	if before, rest, ok := strings.Cut(escaped, "{"); ok {
		if inside, after, ok := strings.Cut(rest, "}"); ok {
			if short := before + "{" + digest(inside) + "}" + after; len(short) <= room {
				return short
			}
		}
	}
	return digest(escaped)
}

func percent(key string) string {
	odd := 0
	for i := range len(key) {
		if !plain(key[i]) {
			odd++
		}
	}
	if odd == 0 {
		return key
	}
	b := make([]byte, 0, len(key)+2*odd)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
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

// spaceWithin returns the beginning of all keys of a key space. Braces and the closing slash are escaped in the name, so
// that no space lies within another's, whatever the bytes.
func spaceWithin(parent, name string) string {
	name = strings.NewReplacer("%", "%25", "/", "%2F", "{", "%7B", "}", "%7D").Replace(name)
	name = percent(name) + "/"
	if space := parent + name; len(space) <= maxSpace {
		return space
	}
	if space := parent + digest(name); len(space) <= maxSpace {
		return space
	}
	return digest(parent + name)
}
