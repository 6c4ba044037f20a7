package memcachedconn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// NonceKey is where each server holds the nonce of its incarnation, 16 hex digits without expiry. A pool with a
// Membership has an item of its own there, NonceKey:<hash of its name>, which holds a mark.
const NonceKey = "strata:incarnation"

const (
	nonceLen = 16
	tagLen   = 8
	maxMark  = 200
)

// MaxPrefix is how many bytes [Session.Key] puts before a key.
const MaxPrefix = tagLen + 1

// markKey returns the key of a pool's item on each server.
func markKey(o *Options) string {
	if o.Membership == nil {
		return NonceKey
	}
	return NonceKey + ":" + digest(o.Pool)
}

// newNonce returns 16 hex digits.
func newNonce() string {
	var random [nonceLen / 2]byte
	rand.Read(random[:]) // never fails, by its documentation
	return hex.EncodeToString(random[:])
}

// newID names a list.
func newID() string { return newNonce() }

// digest is a short hash of strings.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:tagLen]
}

// A mark is what a server says of a pool with a Membership. It is open to one list, or to none.
type mark struct {
	nonce string
	pid   string // of the process that it holds for: one that took over the memory of another is open to nobody
	open  string // the ID of the list by which the server may be used; "" for none
	shut  string // if not open: the ID of the list for which it was shut; "" for a new mark
}

func (m mark) String() string {
	switch {
	case m.open != "":
		return m.nonce + " " + m.pid + " open " + m.open
	case m.shut != "":
		return m.nonce + " " + m.pid + " shut " + m.shut
	}
	return m.nonce + " - new -"
}

func parseMark(s string) (mark, error) {
	fields := strings.Split(s, " ")
	if len(fields) != 4 || !isNonce(fields[0]) {
		return mark{}, errForeignMark
	}
	m := mark{nonce: fields[0], pid: fields[1]}
	switch fields[2] {
	case "open":
		m.open = fields[3]
	case "shut":
		m.shut = fields[3]
	case "new":
		return m, nil
	default:
		return mark{}, errForeignMark
	}
	if fields[3] == "" {
		return mark{}, errForeignMark
	}
	return m, nil
}

// isOpen reports whether a process with pid may be used by the list.
func (m mark) isOpen(pid, id string) bool { return m.open == id && id != "" && m.pid == pid }

func isNonce(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == nonceLen
}

var errForeignMark = fmt.Errorf("%w: the value of %s is not one of strata's", errHandshake, NonceKey)
