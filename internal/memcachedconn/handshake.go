package memcachedconn

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
)

// NonceKey is where each server holds the nonce of its incarnation, 16 hex digits without expiry.
const NonceKey = "strata:incarnation"

const (
	nonceLen = 16
	tagLen   = 8
	maxStats = 64 << 10
)

// MaxPrefix is how many bytes [Session.Key] puts before a key.
const MaxPrefix = tagLen + 1

// handshake adds a nonce if the server has none, reads the one it has and the server's process id, in one round trip.
func handshake(nc net.Conn, pool string) (tag, nonce string, err error) {
	var random [nonceLen / 2]byte
	rand.Read(random[:]) // never fails, by its documentation
	ask := fmt.Sprintf("add %s 0 0 %d\r\n%x\r\nget %s\r\nstats\r\n", NonceKey, nonceLen, random, NonceKey)
	if _, err := io.WriteString(nc, ask); err != nil {
		return "", "", err
	}
	r := bufio.NewReader(io.LimitReader(nc, maxStats))
	switch line, err := readLine(r); {
	case err != nil:
		return "", "", err
	case line != "STORED" && line != "NOT_STORED":
		return "", "", fmt.Errorf("%w: %.80q", errHandshake, line)
	}
	for _, want := range []string{fmt.Sprintf("VALUE %s 0 %d", NonceKey, nonceLen), "", "END"} {
		line, err := readLine(r)
		switch {
		case err != nil:
			return "", "", err
		case want == "":
			nonce = line
		case line != want:
			return "", "", fmt.Errorf("%w: %.80q", errHandshake, line)
		}
	}
	if _, err := hex.DecodeString(nonce); err != nil || len(nonce) != nonceLen {
		return "", "", fmt.Errorf("%w: the value of %s is not one of strata's", errHandshake, NonceKey)
	}
	stats, err := readStats(r)
	if err != nil {
		return "", "", err
	}
	if stats["pid"] == "" || r.Buffered() > 0 {
		return "", "", errHandshake
	}
	sum := sha256.Sum256([]byte(nonce + "\x00" + stats["pid"] + "\x00" + pool))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:tagLen], nonce, nil
}

// readStats reads the reply to "stats".
func readStats(r *bufio.Reader) (map[string]string, error) {
	stats := make(map[string]string)
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if line == "END" {
			return stats, nil
		}
		pair, ok := strings.CutPrefix(line, "STAT ")
		if !ok {
			return nil, fmt.Errorf("%w: %.80q", errHandshake, line)
		}
		name, value, _ := strings.Cut(pair, " ")
		stats[name] = value
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}
