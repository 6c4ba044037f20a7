package codec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/strata-cache/strata/codec/encryption"
	"github.com/strata-cache/strata/internal/sentinel"
)

func newKeyring(t testing.TB, id string) *encryption.Keyring {
	t.Helper()
	key, err := encryption.ParseKey(id, hex.EncodeToString([]byte(strings.Repeat(id+"-", 32)[:32])))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := encryption.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newCompressor(t testing.TB) *compression.Compressor {
	t.Helper()
	c, err := compression.New(&compression.Options{Threshold: 64})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// formats are all ways to write a T.
func formats[T any](t testing.TB, c codec.Codec[T]) map[string]codec.Format[T] {
	compressor, ring := newCompressor(t), newKeyring(t, "k")
	return map[string]codec.Format[T]{
		"plain":      {Codec: c},
		"compressed": {Codec: c, Compression: compressor},
		"encrypted":  {Codec: c, Encryption: ring},
		"both":       {Codec: c, Compression: compressor, Encryption: ring},
	}
}

func TestEveryFormatReadsWhatItWrote(t *testing.T) {
	t.Parallel()
	for name, f := range formats(t, codec.MessagePack[product]()) {
		for i, p := range products {
			e := full()
			e.Extensions = e.Extensions[1:]
			body, err := f.Encode([]byte("x"), e, testSeal, p)
			if err != nil || body[0] != 'x' || e.Codec != codec.IDString {
				t.Fatalf("%s: Encode %d: %v, %+v", name, i, err, e)
			}
			got, env, err := f.Decode(body[1:], testSeal)
			if err != nil || !same(got, p) || env.Codec != codec.IDMessagePack || env.Size != e.Size {
				t.Errorf("%s: Decode %d: %+v, %+v, %v", name, i, got, env, err)
			}
			last := env.Extensions[len(env.Extensions)-1]
			if last.Type != codec.ExtensionApplication || !reflect.DeepEqual(env.Tags, e.Tags) || env.Position != e.Position ||
				!env.Created.Equal(e.Created) || env.Schema != f.Codec.Schema() {
				t.Errorf("%s: Decode %d: the envelope came back as %+v", name, i, env)
			}
		}
		body, err := f.Encode(nil, &codec.Envelope{Negative: true}, testSeal, products[1])
		if err != nil {
			t.Fatal(err)
		}
		if got, env, err := f.Decode(body, testSeal); err != nil || !env.Negative || !same(got, product{}) {
			t.Errorf("%s: negative: %+v, %+v, %v", name, got, env, err)
		}
	}
}

func TestWhatShrinksIsShorterAndItsSizeIsKnown(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("all work and no play; ", 1000)
	f := codec.Format[string]{Codec: codec.String(), Compression: newCompressor(t)}
	var e codec.Envelope
	body, err := f.Encode(nil, &e, testSeal, text)
	if err != nil || len(body) > len(text)/5 || e.Size != len(text) {
		t.Fatalf("%d bytes became %d, size %d, %v", len(text), len(body), e.Size, err)
	}
	got, env, err := f.Decode(body, testSeal)
	if got != text || env.Size != len(text) || err != nil {
		t.Errorf("%d bytes, size %d, %v", len(got), env.Size, err)
	}
	if short, err := f.Encode(nil, &e, testSeal, text[:50]); err != nil || len(short) != 83+50 || e.Size != 50 {
		t.Errorf("50 bytes became %d, size %d, %v", len(short), e.Size, err)
	}
}

// The reason for which a reader refuses what a writer wrote; 0: it reads it.
func TestMixedFleets(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("value ", 100)
	all := formats(t, codec.String())
	all["another key"] = codec.Format[string]{Codec: codec.String(), Encryption: newKeyring(t, "l")}
	all["another secret"] = codec.Format[string]{Codec: codec.String(), Encryption: impostor(t, "k")}
	for _, c := range []struct {
		writer, reader string
		want           codec.Reason
	}{
		{"plain", "compressed", 0},
		{"plain", "encrypted", codec.ReasonPlain},
		{"compressed", "plain", codec.ReasonCompression},
		{"compressed", "both", codec.ReasonPlain},
		{"encrypted", "plain", codec.ReasonKey},
		{"encrypted", "compressed", codec.ReasonKey},
		{"encrypted", "both", 0},
		{"both", "encrypted", codec.ReasonCompression},
		{"encrypted", "another key", codec.ReasonKey},
		{"encrypted", "another secret", codec.ReasonAuthentication},
	} {
		body, err := all[c.writer].Encode(nil, &codec.Envelope{}, testSeal, value)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := all[c.reader].Decode(body, testSeal)
		if reasonOf(err) != c.want || err == nil && got != value || err != nil && got != "" {
			t.Errorf("%s, read by %s: %.10q, %v, want %v", c.writer, c.reader, got, err, c.want)
		}
	}
}

// impostor has a key of the same id and another secret.
func impostor(t testing.TB, id string) *encryption.Keyring {
	t.Helper()
	key, err := encryption.NewKey(id, []byte("another secret of just 32 bytes!"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := encryption.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestACallerCannotClaimThatItsValueIsCompressed(t *testing.T) {
	t.Parallel()
	for name, f := range formats(t, codec.String()) {
		if out, err := f.Encode([]byte("x"), full(), testSeal, "value"); err == nil || string(out) != "x" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// otherSeals differ from testSeal in one part each.
func otherSeals() map[string]codec.Seal {
	key, version, kind, token := testSeal, testSeal, testSeal, testSeal
	key.Key += "x"
	version.Version++
	kind.Kind++
	token.Token[15] ^= 1
	return map[string]codec.Seal{"key": key, "version": version, "kind": kind, "token": token}
}

func TestAMovedBodyIsRefused(t *testing.T) {
	t.Parallel()
	for name, f := range formats(t, codec.String()) {
		want := codec.ReasonChecksum
		if f.Encryption != nil {
			want = codec.ReasonAuthentication
		}
		body, err := f.Encode(nil, &codec.Envelope{}, testSeal, "value")
		if err != nil {
			t.Fatal(err)
		}
		for part, s := range otherSeals() {
			if got, _, err := f.Decode(body, s); got != "" || reasonOf(err) != want {
				t.Errorf("%s: under another %s: %q, %v", name, part, got, err)
			}
			if out, err := f.Reseal(nil, body, s, testSeal, nil); out != nil || reasonOf(err) != want {
				t.Errorf("%s: resealed from another %s: %v", name, part, err)
			}
		}
		for i := range body {
			body[i] ^= 0x10
			if got, _, err := f.Decode(body, testSeal); got != "" || reasonOf(err) == 0 {
				t.Errorf("%s: byte %d changed: %q, %v", name, i, got, err)
			}
			body[i] ^= 0x10
			if got, _, err := f.Decode(body[:i], testSeal); got != "" || reasonOf(err) == 0 {
				t.Errorf("%s: %d of %d bytes: %q, %v", name, i, len(body), got, err)
			}
		}
	}
}

func TestAnEncryptedBodyShowsNothingOfTheEnvelope(t *testing.T) {
	t.Parallel()
	ring := newKeyring(t, "k")
	f := codec.Format[string]{Codec: codec.String(), Encryption: ring}
	e := codec.Envelope{
		Created: time.UnixMilli(0x0123456789ab), SoftExpiry: time.UnixMilli(0x0123456789ab), Tags: []string{"customer:7"},
		Version: 0x7172737475767778, Position: 0x6162636465666768, JournalSeq: 0x5152535455565758, Incarnation: [16]byte([]byte("incarnation 1234")),
		Extensions: []codec.Extension{{Type: codec.ExtensionApplication, Value: []byte("extension")}},
	}
	plain, err := codec.Encode(codec.String(), nil, &e, testSeal, "a value that is secret")
	if err != nil {
		t.Fatal(err)
	}
	body, err := f.Encode(nil, &e, testSeal, "a value that is secret")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+6 <= len(plain)-8; i++ {
		if part := plain[i : i+6]; bytes.Contains(body, part) && len(bytes.Trim(part, "\x00")) > 0 {
			t.Errorf("%q is visible", part)
		}
	}
	if want := 1 + 2 + len("k") + 24 + len(plain) - 8 + 16; len(body) != want {
		t.Errorf("%d bytes, want %d", len(body), want)
	}
	if body[0] != 2 {
		t.Errorf("begins with %d", body[0])
	}
}

func TestResealMovesABodyAndLeavesThePayload(t *testing.T) {
	t.Parallel()
	to := otherSeals()["token"]
	expiry := time.UnixMilli(1_800_000_000_000).UTC()
	for name, f := range formats(t, codec.String()) {
		value := strings.Repeat("value ", 100)
		body, err := f.Encode(nil, &codec.Envelope{Tags: []string{"a"}}, testSeal, value)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := f.Reseal([]byte("x"), body, testSeal, to, func(e *codec.Envelope) { e.SoftExpiry = expiry })
		if err != nil || moved[0] != 'x' || len(moved) != len(body)+1 {
			t.Fatalf("%s: %d bytes, %v", name, len(moved), err)
		}
		if got, e, err := f.Decode(moved[1:], to); got != value || !e.SoftExpiry.Equal(expiry) || !slices.Equal(e.Tags, []string{"a"}) || err != nil {
			t.Errorf("%s: %.10q, %+v, %v", name, got, e, err)
		}
		if _, _, err := f.Decode(moved[1:], testSeal); reasonOf(err) == 0 {
			t.Errorf("%s: it is still what it was", name)
		}
		// A node without the compressor can do it too.
		f.Compression = nil
		if _, err := f.Reseal(nil, body, testSeal, to, nil); err != nil {
			t.Errorf("%s, without a compressor: %v", name, err)
		}
		tooMany := func(e *codec.Envelope) { e.Tags = make([]string, codec.MaxTags+1) }
		if out, err := f.Reseal([]byte("x"), body, testSeal, to, tooMany); string(out) != "x" || !errors.Is(err, sentinel.ErrTooLarge) {
			t.Errorf("%s: too many tags: %q, %v", name, out, err)
		}
	}
}

// rude fails in every way that a layer can.
type rude struct{ panics bool }

func (r rude) fail() error {
	if r.panics {
		panic("secret")
	}
	return fmt.Errorf("secret")
}
func (r rude) Compress(dst, _ []byte) ([]byte, bool)        { return append(dst, 1), true }
func (r rude) Decompress([]byte) ([]byte, error)            { return []byte("half"), r.fail() }
func (r rude) Encrypt(dst, _, _ []byte) ([]byte, error)     { return nil, r.fail() }
func (r rude) Decrypt(ciphertext, _ []byte) ([]byte, error) { return []byte("half"), r.fail() }

func TestFailuresOfLayersAreErrorsWithoutTheirTexts(t *testing.T) {
	t.Parallel()
	for _, r := range []rude{{false}, {true}} {
		compressed := codec.Format[string]{Codec: codec.String(), Compression: r}
		body, err := compressed.Encode(nil, &codec.Envelope{}, testSeal, strings.Repeat("v", 100))
		if err != nil {
			t.Fatal(err)
		}
		if v, _, err := compressed.Decode(body, testSeal); v != "" || reasonOf(err) == 0 || strings.Contains(err.Error(), "secret") {
			t.Errorf("decompress: %q, %v", v, err)
		}
		encrypted := codec.Format[string]{Codec: codec.String(), Encryption: r}
		if out, err := encrypted.Encode([]byte("x"), &codec.Envelope{}, testSeal, "v"); string(out) != "x" || err == nil {
			t.Errorf("encrypt: %q, %v", out, err)
		}
		if v, _, err := encrypted.Decode([]byte{2, 0}, testSeal); v != "" || reasonOf(err) == 0 || strings.Contains(err.Error(), "secret") {
			t.Errorf("decrypt: %q, %v", v, err)
		}
	}
}

func TestLimitsHoldInEveryFormat(t *testing.T) {
	noise := make([]byte, codec.MaxBody) // the compressor leaves what is over 16 MiB alone
	all := formats(t, codec.Bytes())
	for _, name := range []string{"plain", "both"} {
		f := all[name]
		// The payload fits, and the body around it does not.
		if out, err := f.Encode([]byte("x"), &codec.Envelope{}, testSeal, noise[:codec.MaxBody-80]); string(out) != "x" || !errors.Is(err, sentinel.ErrTooLarge) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
		for _, first := range []byte{1, 2} {
			large := make([]byte, codec.MaxBody+1)
			large[0] = first
			if _, _, err := f.Decode(large, testSeal); err == nil || reasonOf(err) == codec.ReasonChecksum {
				t.Errorf("%s: a body of more than the limit: %v", name, err)
			}
		}
	}
}

func TestMaxBodyBoundsWhatIsWrittenAndRead(t *testing.T) {
	t.Parallel()
	for name, f := range formats(t, codec.Bytes()) {
		noise := bytes.Repeat([]byte("0123456789abcdef"), 3)[:40] // shorter than what is compressed
		body, err := f.Encode(nil, &codec.Envelope{}, testSeal, noise)
		if err != nil {
			t.Fatal(err)
		}
		for limit, ok := range map[int]bool{0: true, len(body): true, len(body) - 1: false, codec.MaxBody + 1: true} {
			f.MaxBody = limit
			if out, err := f.Encode([]byte("x"), &codec.Envelope{}, testSeal, noise); ok != (err == nil) || err != nil && (!errors.Is(err, sentinel.ErrTooLarge) || string(out) != "x") {
				t.Errorf("%s: %d bytes, limit %d: %q, %v", name, len(body), limit, out, err)
			}
			if _, _, err := f.Decode(body, testSeal); ok != (err == nil) || err != nil && reasonOf(err) != codec.ReasonTooLarge {
				t.Errorf("%s: %d bytes, limit %d: %v", name, len(body), limit, err)
			}
			if _, err := f.Reseal(nil, body, testSeal, testSeal, nil); ok != (err == nil) {
				t.Errorf("%s: resealed: %d bytes, limit %d: %v", name, len(body), limit, err)
			}
		}
		f.MaxBody = len(body)
		longer := func(e *codec.Envelope) { e.Tags = []string{"a"} }
		if _, err := f.Reseal(nil, body, testSeal, testSeal, longer); !errors.Is(err, sentinel.ErrTooLarge) {
			t.Errorf("%s: resealed longer than the limit: %v", name, err)
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	all := formats(b, codec.MessagePack[product]())
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		p := products[1]
		p.Name = strings.Repeat("chair ", 40)
		body, err := f.Encode(nil, &codec.Envelope{}, testSeal, p)
		if err != nil {
			b.Fatal(err)
		}
		stored := float64(len(body))
		b.Run("format="+name+"/op=encode", func(b *testing.B) {
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Encode(dst, &codec.Envelope{}, testSeal, p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(stored, "stored-bytes")
		})
		b.Run("format="+name+"/op=decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.Decode(body, testSeal); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
