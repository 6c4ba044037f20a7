package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/strata-cache/strata/codec"
)

// fromFile begins a key that stands in a file of its own.
const fromFile = "file:"

// maxKeySize bounds a key as it is written, in bytes: what is larger is another file.
const maxKeySize = 4 << 10

// resolveRings makes the ciphers of all key rings, by name; nil for a ring of which it reports a mistake.
func (d *document) resolveRings(env map[string]string, drivers Drivers, p *problems) map[string]codec.Cipher {
	rings := map[string]codec.Cipher{}
	for _, r := range d.rings {
		rings[r.name] = nil
		keys, ok := make([]Key, 0, len(r.keys)), !r.broken
		var secrets []string
		for _, it := range r.keys {
			secret, good := it.text.secret(env, p)
			keys, secrets, ok = append(keys, Key{ID: it.name, Secret: secret}), append(secrets, secret), ok && good
		}
		switch {
		case !ok:
		case drivers.Encryption == nil:
			p.add(r.at, "the program brings no encryption")
		case len(keys) == 0:
			p.add(r.at, "has no key")
		default:
			cipher, err := drivers.Encryption(keys)
			if err != nil || cipher == nil {
				failed(r.at, "cannot be used", err, secrets, p)
				continue
			}
			rings[r.name] = cipher
		}
	}
	return rings
}

// secret returns a key, from a variable or from a file; ok is false if it reports a mistake. A key in the configuration itself
// would be in every copy of it.
func (s *scalar) secret(env map[string]string, p *problems) (secret string, ok bool) {
	s.expand(env, p)
	path, isFile := strings.CutPrefix(s.text, fromFile)
	switch {
	case s.unusable:
		return "", false
	case isFile:
		data, err := readKey(path)
		if err != nil {
			p.add(s.at, "%v", err)
			return "", false
		}
		secret = data
	case variableOnly.MatchString(s.written):
		secret = s.text
	default:
		p.add(s.at, "a key does not stand here: write ${VARIABLE}, or file: and the path of a file that holds it")
		return "", false
	}
	if strings.TrimSpace(secret) == "" {
		p.add(s.at, "the key is empty")
		return "", false
	}
	return secret, true
}

// readKey reads a plain file: anything else might never end.
func readKey(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxKeySize:
		return "", fmt.Errorf("%s is no key: a plain file of at most %d bytes", path, maxKeySize)
	}
	data, err := os.ReadFile(path)
	return string(data), err
}

// codecs make what compresses and encrypts the values of caches.
type codecs struct {
	drivers Drivers
	rings   map[string]codec.Cipher
	refused map[place]bool // what was reported
}

// resolve makes those of one cache. encryption is how its field is written, compression where that is.
func (c *codecs) resolve(cache *cachePlan, encryption scalar, compression place, p *problems) {
	switch {
	case cache.compression == "":
	case c.drivers.Compression == nil:
		c.refuse(compression, p, "the program brings no compression")
	default:
		var err error
		cache.compressor, err = c.drivers.Compression(cache.compression, int(cache.threshold))
		if err != nil || cache.compressor == nil {
			c.refuse(compression, p, "cannot be used: %v", err)
		}
	}
	if cache.encryption != "" {
		cipher, ok := c.rings[cache.encryption]
		if !ok {
			c.refuse(encryption.at, p, "%s", encryption.isNo("key ring", slices.Collect(maps.Keys(c.rings))))
		}
		cache.cipher = cipher
	}
}

// refuse reports a mistake once for all caches that inherit it.
func (c *codecs) refuse(at place, p *problems, format string, args ...any) {
	if !c.refused[at] {
		c.refused[at] = true
		p.add(at, format, args...)
	}
}
