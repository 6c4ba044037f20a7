package redisconn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// inPieces feeds a stream in pieces of random lengths.
func inPieces(maxValue int, stream string) (*replies, error) {
	r := &replies{maxValue: maxValue}
	for len(stream) > 0 {
		n := 1 + rand.IntN(min(len(stream), 7))
		if err := r.feed([]byte(stream[:n])); err != nil {
			return r, err
		}
		stream = stream[n:]
	}
	return r, nil
}

func TestWhatAServerAnswersPasses(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{
		"+OK\r\n", "-ERR no\r\n", ":-12\r\n", "$-1\r\n", "*-1\r\n", "$0\r\n\r\n", "*0\r\n", "$5\r\na\r\nbc\r\n",
		"*3\r\n$1\r\na\r\n$-1\r\n*2\r\n:1\r\n+x\r\n",
		"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n", "~1\r\n#t\r\n", ">2\r\n+message\r\n$1\r\nx\r\n", ",1.5\r\n", "(123456789012345678901234567890\r\n",
		"=7\r\ntxt:abc\r\n", "!3\r\nERR\r\n",
	} {
		for range 20 {
			r, err := inPieces(100, stream+stream)
			if err != nil {
				t.Fatalf("%q: %v", stream, err)
			}
			if r.depth != 0 || r.skip != 0 || r.ending != 0 || len(r.line) != 0 || r.cost != 0 {
				t.Fatalf("%q: is not seen as whole: %+v", stream, r)
			}
		}
	}
}

func TestWhatNoServerAnswersIsRefusedAtItsHeader(t *testing.T) {
	t.Parallel()
	const limit = 1000
	for _, stream := range []string{
		"$1001\r\n", "$3000000000\r\n", "$99999999999999999999\r\n", "$-2\r\n", "$+1\r\n", "$\r\n", "$1a\r\n", "$?\r\n", "=1001\r\n", "!1001\r\n",
		"*1000000000\r\n", "%1000000000\r\n", "~1000000000\r\n", ">1000000000\r\n", "*-2\r\n", "*?\r\n",
		strings.Repeat("*1\r\n", maxReplyDepth+1), "*9\r\n" + strings.Repeat("$999\r\n"+strings.Repeat("x", 999)+"\r\n", 9),
		strings.Repeat("*20\r\n", 8),
		"+" + strings.Repeat("x", maxReplyLine), "$3\r\nabcd\r\n", "$3\r\nabc\n\n", ":1x\r\n", "+OK\n", "\r\n", "HTTP/1.1 400 Bad Request\r\n",
		"|1\r\n+a\r\n+b\r\n+OK\r\n",
	} {
		for range 20 {
			r, err := inPieces(limit, stream)
			if !errors.As(err, new(replyError)) {
				t.Fatalf("%.40q: %v, want a refusal", stream, err)
			}
			if again := r.feed([]byte("+OK\r\n")); again == nil {
				t.Fatalf("%.40q: goes on after a refusal", stream)
			}
		}
	}
}

func FuzzReplies(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "$3\r\nabc\r\n%1\r\n+a\r\n_\r\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, at int) {
		whole, parted := &replies{maxValue: 1000}, &replies{maxValue: 1000}
		err := whole.feed(stream)
		at = min(max(at, 0), len(stream))
		parted.feed(stream[:at])
		if err2 := parted.feed(stream[at:]); (err == nil) != (err2 == nil) {
			t.Errorf("whole: %v, in two pieces: %v", err, err2)
		}
		if err == nil && fmt.Sprintf("%+v", *whole) != fmt.Sprintf("%+v", *parted) {
			t.Errorf("whole: %+v, in two pieces: %+v", *whole, *parted)
		}
	})
}
