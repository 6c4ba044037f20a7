package backend

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/strata-cache/strata/backend/driver"
)

const hexDigits = "0123456789ABCDEF"

// digestLen is the length of what digest returns. Room for two of them, one for what is before the brace and one for what is
// within, is left in every key space.
const (
	digestLen = 44
	maxSpace  = driver.MaxKey - 2*digestLen - len("{}")
	maxName   = digestLen // of a key space, as it is stored; what is longer is replaced by its digest
)

// escape turns any key of a key space into one that every driver takes: printable ASCII without spaces, at most
// [driver.MaxKey] bytes. Different keys stay different: percent-encoding is reversible, and what is too long is
// replaced by '~' and its SHA-256, where '~' cannot come from a key. Of a key with braces only what is between them is
// replaced if that is enough, else what is before them too, so that keys which belong on one server stay there. The space
// stays in front in any case, so that listing a space finds all its keys.
func escape(space, key string) string {
	if escaped := space + percent(key, plain); escaped == "" {
		return "%" // no byte escapes to this
	} else if len(escaped) <= driver.MaxKey {
		return escaped
	}
	return space + shorten(percent(key, plain), driver.MaxKey-len(space))
}

// shorten makes escaped fit into room, which is at least that of two digests and braces.
func shorten(escaped string, room int) string {
	if before, rest, ok := strings.Cut(escaped, "{"); ok {
		if inside, after, ok := strings.Cut(rest, "}"); ok {
			end := "{" + digest(inside) + "}" + after
			if len(before)+len(end) <= room {
				return before + end
			} else if digestLen+len(end) <= room {
				return digest(before) + end
			}
		}
	}
	return digest(escaped)
}

// listed returns how the stored keys begin of all keys of a space that begin with prefix. Those that were shortened as a whole
// are among them only if the prefix is empty, and those whose beginning was shortened if it ends with their brace.
func listed(space, prefix string) []string {
	escaped := percent(prefix, plain)
	var begin []string
	if len(space)+len(escaped) <= driver.MaxKey {
		begin = append(begin, space+escaped)
	}
	if before, rest, ok := strings.Cut(escaped, "{"); ok && rest == "" && len(before) > digestLen {
		begin = append(begin, space+digest(before)+"{")
	}
	return begin
}

// shortened returns how the stored keys begin that may begin with prefix and whose part within the brace was shortened. Which of them
// do nobody can tell.
func shortened(space, prefix string) []string {
	before, inside, ok := strings.Cut(percent(prefix, plain), "{")
	if !ok || inside == "" || strings.Contains(inside, "}") {
		return nil
	}
	begin := []string{space + before + "{~"}
	if len(before) > digestLen {
		begin = append(begin, space+digest(before)+"{~")
	}
	return begin
}

func percent(s string, plain func(byte) bool) string {
	odd := 0
	for i := range len(s) {
		if !plain(s[i]) {
			odd++
		}
	}
	if odd == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*odd)
	for i := range len(s) {
		if c := s[i]; plain(c) {
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

// plainInName reports whether c stands for itself in the name of a key space: neither its end nor a brace does.
func plainInName(c byte) bool { return plain(c) && c != '/' && c != '{' && c != '}' }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "~" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// spaceWithin returns the beginning of all keys of a key space: "~name/" within its parent's. No key begins with '~', save
// one that begins with a digest, in which no '/' follows before its end or brace: so no key of the parent lies in the
// space, and the spaces of different names lie beside each other, whatever the bytes. A name that is too long is replaced
// by its digest. Spaces nested too deeply become one directly within the outermost.
func spaceWithin(parent, name string) string {
	name = percent(name, plainInName)
	if len(name) > maxName {
		name = digest(name)
	}
	if space := parent + "~" + name + "/"; len(space) <= maxSpace {
		return space
	}
	outermost := parent[:strings.IndexByte(parent, '/')+1]
	return outermost + "~~" + digest(parent+name) + "/"
}
