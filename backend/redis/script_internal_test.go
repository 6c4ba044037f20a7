package redis

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.MainWaiting(m) }

// testOptions are patient: a busy machine is not what is tested.
func testOptions() *Options { return &Options{Timeout: 10 * time.Second} }

func openDriver(t testing.TB, url string, o *Options) *store {
	t.Helper()
	d, err := open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

// A history makes random records and steps.
type history struct {
	*rand.Rand
	tokens [6]record.Token // the last is the zero token
}

func newHistory(seed uint64) *history {
	h := &history{Rand: rand.New(rand.NewPCG(seed, 0))}
	for i := range len(h.tokens) - 1 {
		h.tokens[i] = record.NewToken()
	}
	return h
}

func (h *history) token() record.Token { return h.tokens[h.IntN(len(h.tokens))] }

// expiry is far from now on either side, or one of the odd numbers that eight bytes can be.
func (h *history) expiry() uint64 {
	now := uint64(time.Now().UnixMilli())
	odd := []uint64{0, 1, math.MaxUint64, 1 << 63, 1<<63 - 1, 1 << 53, 1<<53 + 1, 1<<62 + 12345, 1 << 32, 1<<41 - 1}
	switch h.IntN(6) {
	case 0:
		return now - 60_000
	case 1:
		return odd[h.IntN(len(odd))]
	case 2:
		return now + uint64(time.Hour/time.Millisecond)*24*365
	default:
		return now + 60_000 + uint64(h.IntN(1000))
	}
}

// stored is something to find at a key: records of known and unknown kinds and versions, fences with broken bodies,
// short garbage, or nothing.
func (h *history) stored() []byte {
	if h.IntN(10) == 0 {
		return nil
	}
	if h.IntN(10) == 0 {
		return []byte("garbage, but 26 bytes long")[:h.IntN(27)]
	}
	b := []byte{1, byte(h.IntN(5)), byte(h.IntN(4))}
	if h.IntN(5) == 0 {
		b[0] = byte(h.Uint32())
	}
	if h.IntN(3) == 0 {
		b[1] = byte(record.Fence)
	}
	token := h.token()
	b = append(b, token[:]...)
	b = binary.BigEndian.AppendUint64(b, h.expiry())
	writers := h.IntN(5)
	if h.IntN(20) == 0 {
		writers = record.MaxWriters - 1 + h.IntN(3)
	}
	for range writers {
		w := h.token()
		if writers > 5 {
			w = record.NewToken()
		}
		b = append(b, w[:]...)
	}
	if h.IntN(10) == 0 {
		b = append(b, "odd"...)
	}
	return b
}

func (h *history) step() record.Step {
	s := record.Step{
		Verb:   record.Verb(1 + h.IntN(7)),
		Expect: h.token(),
		Fresh:  record.NewToken(),
		TTL:    time.Duration(1+h.IntN(7200)) * time.Second,
	}
	if s.Verb == record.Add || s.Verb == record.Swap {
		for len(s.Record) < record.HeaderLen {
			s.Record = h.stored()
		}
	}
	return s
}

func TestTheScriptDoesWhatApplyDoes(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t) // its own: the script is flushed
	d := openDriver(t, server.URL(), testOptions())
	ctx := t.Context()
	client := d.conn.Client()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := newHistory(seed)
	seen := map[string]int{}
	for n := range 8000 {
		key := fmt.Sprintf("key%d", h.IntN(3))
		if h.IntN(3) == 0 {
			put(t, client, key, h.stored())
		}
		if h.IntN(200) == 0 {
			if err := client.ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		before := raw(t, client, key)
		s := h.step()
		want, done := record.Apply(before, s, time.Now())
		e := d.Write(ctx, []driver.Op{{Key: key, Step: s}})[0]
		after := raw(t, client, key)

		fail := func(why string) {
			t.Helper()
			t.Fatalf("seed %d step %d: %v expect %v fresh %v ttl %v: %s\nbefore %x\nrecord %x\neffect %v %x %v\nafter  %x\nwant   %x (done %v)",
				seed, n, s.Verb, s.Expect, s.Fresh, s.TTL, why, before, s.Record, e.Outcome, e.Found, e.Err, after, want, done)
		}
		seen[fmt.Sprint(s.Verb, done)]++
		if !done {
			if e.Outcome != driver.Refused || !bytes.Equal(e.Found, want) || (e.Found == nil) != (want == nil) {
				fail("want refused with what was there")
			}
			if !bytes.Equal(before, after) {
				fail("a refused step changed the record")
			}
			continue
		}
		if e.Outcome != driver.Done || e.Err != nil {
			fail("want done")
		}
		if !same(after, want, s.Verb == record.Place || s.Verb == record.Renew) || (after == nil) != (want == nil) {
			fail("another record")
		}
		if pttl := client.PTTL(ctx, key).Val(); after != nil && s.TTL > 0 && pttl > 0 {
			switch s.Verb {
			case record.Add, record.Swap:
				if least := s.TTL - 10*time.Second; pttl < least || pttl > s.TTL+record.FenceSlack {
					fail(fmt.Sprintf("lives %v", pttl))
				}
			}
		}
	}
	for _, verb := range []record.Verb{record.Add, record.Swap, record.Remove, record.Place, record.Leave, record.Delete, record.Renew} {
		if seen[fmt.Sprint(verb, true)] == 0 {
			t.Errorf("%v was never done", verb)
		}
		if verb != record.Leave && verb != record.Delete && seen[fmt.Sprint(verb, false)] == 0 {
			t.Errorf("%v was never refused", verb)
		}
	}
}

func TestTheKeyLivesAsLongAsItsRecord(t *testing.T) {
	t.Parallel()
	d := openDriver(t, servertest.SharedRedis(t).URL(), testOptions())
	client := d.conn.Client()
	key := servertest.Key(t)
	writer, other := record.NewToken(), record.NewToken()
	value := record.New(record.Header{Kind: record.Value, Token: writer, Expiry: time.Now().Add(time.Hour)}, nil)
	for _, c := range []struct {
		why  string
		step record.Step
		ttl  time.Duration
	}{
		{"a value lives its TTL", record.Step{Verb: record.Add, Record: value, TTL: time.Hour}, time.Hour},
		{"renewing a value shortens its life too", record.Step{Verb: record.Renew, Expect: writer, TTL: time.Minute}, time.Minute},
		{"a fence lives longer than its TTL", record.Step{Verb: record.Place, Expect: writer, TTL: time.Minute}, time.Minute + record.FenceSlack},
		{"who joins extends it", record.Step{Verb: record.Place, Expect: other, Fresh: record.NewToken(), TTL: time.Hour}, time.Hour + record.FenceSlack},
		{"nobody shortens it", record.Step{Verb: record.Renew, Expect: other, TTL: time.Minute}, time.Hour + record.FenceSlack},
		{"who leaves keeps its life", record.Step{Verb: record.Leave, Expect: writer, Fresh: record.NewToken()}, time.Hour + record.FenceSlack},
		{"who deletes keeps its life", record.Step{Verb: record.Delete, Fresh: record.NewToken()}, time.Hour + record.FenceSlack},
	} {
		if e := d.Write(t.Context(), []driver.Op{{Key: key, Step: c.step}})[0]; e.Outcome != driver.Done {
			t.Fatalf("%s: %v %v", c.why, e.Outcome, e.Err)
		}
		if got := client.PTTL(t.Context(), key).Val(); got > c.ttl || got < c.ttl-15*time.Second {
			t.Errorf("%s: lives %v, want %v", c.why, got, c.ttl)
		}
	}
}

func TestAFenceOutlivesItsExpiryByTheSlack(t *testing.T) {
	t.Parallel()
	d := openDriver(t, servertest.SharedRedis(t).URL(), testOptions())
	key := servertest.Key(t)
	token := record.NewToken()
	for _, c := range []struct {
		kind record.Kind
		ago  time.Duration
		live bool
	}{
		{record.Fence, 0, true},
		{record.Fence, record.FenceSlack, false},
		{record.Value, 0, false},
		{record.Lease, 0, false},
	} {
		for tries := 0; ; tries++ {
			at := time.Now().Add(-c.ago).Truncate(time.Millisecond)
			put(t, d.conn.Client(), key, record.New(record.Header{Kind: c.kind, Token: token, Expiry: at}, token[:]))
			value := record.New(record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: at.Add(time.Hour)}, nil)
			e := d.Write(t.Context(), []driver.Op{{Key: key, Step: record.Step{Verb: record.Add, Record: value, TTL: time.Hour}}})[0]
			if c.live && time.Since(at) >= record.FenceSlack && tries < 100 {
				continue // this machine was too slow to see it alive
			}
			if refused := e.Outcome == driver.Refused; refused != c.live || e.Err != nil {
				t.Errorf("a %v that expired %v ago: %v %v", c.kind, c.ago, e.Outcome, e.Err)
			}
			break
		}
	}
}

func put(t *testing.T, c goredis.UniversalClient, key string, b []byte) {
	t.Helper()
	err := c.Del(context.Background(), key).Err()
	if b != nil && err == nil {
		err = c.Set(context.Background(), key, b, time.Hour).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func raw(t *testing.T, c goredis.UniversalClient, key string) []byte {
	t.Helper()
	b, err := c.Get(context.Background(), key).Bytes()
	if err == goredis.Nil {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares records, except for some seconds of expiry where it was counted from now.
func same(a, b []byte, counted bool) bool {
	if !counted || len(a) < record.HeaderLen || len(b) < record.HeaderLen {
		return bytes.Equal(a, b)
	}
	ea, eb := int64(binary.BigEndian.Uint64(a[19:])), int64(binary.BigEndian.Uint64(b[19:]))
	if ea-eb > 15_000 || eb-ea > 15_000 {
		return false
	}
	a, b = bytes.Clone(a), bytes.Clone(b)
	copy(a[19:27], b[19:27])
	return bytes.Equal(a, b)
}
