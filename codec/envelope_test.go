package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/zeebo/xxh3"
)

var testSeal = codec.Seal{Key: "products/1/{42}", Version: 1, Kind: 1, Token: [16]byte{1, 2, 3}}

// full has every field set.
func full() *codec.Envelope {
	return &codec.Envelope{
		Codec: codec.IDString, Schema: 7, Created: time.UnixMilli(1700000000123).UTC(), SoftExpiry: time.UnixMilli(1700000060000).UTC(),
		Tags: []string{"brand:acme", "", "käse"}, Incarnation: [16]byte{9, 15: 8}, Position: 1 << 60, Version: 3, JournalSeq: 4,
		Extensions: []codec.Extension{
			{Type: codec.ExtensionCompression, Critical: true, Value: []byte{1}},
			{Type: codec.ExtensionApplication, Value: []byte{}},
		},
		Payload: []byte("payload"),
	}
}

func reasonOf(err error) codec.Reason {
	var d *codec.DecodeError
	if errors.As(err, &d) {
		return d.Reason
	}
	return 0
}

func mustAppend(t testing.TB, e *codec.Envelope) []byte {
	t.Helper()
	body, err := codec.AppendEnvelope(nil, e, testSeal)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEnvelopeRoundTrip(t *testing.T) {
	for name, e := range map[string]*codec.Envelope{
		"full": full(), "zero": {Payload: []byte{}}, "negative": {Codec: 3, Negative: true, Payload: []byte{}},
		"epoch": {SoftExpiry: time.UnixMilli(0).UTC(), Payload: []byte{0}},
	} {
		got, err := codec.ParseEnvelope(mustAppend(t, e), testSeal, codec.ExtensionCompression)
		if err != nil || !reflect.DeepEqual(&got, e) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, e)
		}
	}
}

func TestEveryFlippedBitIsAnError(t *testing.T) {
	e := full()
	e.Extensions[0].Critical = false
	body := mustAppend(t, e)
	for i := range body {
		for bit := range 8 {
			body[i] ^= 1 << bit
			if _, err := codec.ParseEnvelope(body, testSeal); reasonOf(err) == 0 {
				t.Errorf("byte %d, bit %d: %v", i, bit, err)
			}
			body[i] ^= 1 << bit
		}
	}
	if _, err := codec.ParseEnvelope(body, testSeal); err != nil {
		t.Error("the body itself:", err)
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	body := mustAppend(t, full())
	for n := range body {
		if _, err := codec.ParseEnvelope(body[:n:n], testSeal, codec.ExtensionCompression); reasonOf(err) == 0 {
			t.Errorf("%d of %d bytes: %v", n, len(body), err)
		}
	}
	if _, err := codec.ParseEnvelope(append(body, 0), testSeal, codec.ExtensionCompression); reasonOf(err) != codec.ReasonChecksum {
		t.Errorf("one byte more: %v", err)
	}
}

func TestAnotherSealIsAnError(t *testing.T) {
	body := mustAppend(t, &codec.Envelope{})
	for name, change := range map[string]func(*codec.Seal){
		"key":     func(s *codec.Seal) { s.Key = "products/1/{43}" },
		"version": func(s *codec.Seal) { s.Version++ },
		"kind":    func(s *codec.Seal) { s.Kind++ },
		"token":   func(s *codec.Seal) { s.Token[15]++ },
	} {
		s := testSeal
		change(&s)
		if _, err := codec.ParseEnvelope(body, s); reasonOf(err) != codec.ReasonChecksum {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// forge gives body the checksum that an attacker would.
func forge(body []byte, s codec.Seal) []byte {
	context := append([]byte{s.Version, s.Kind}, s.Token[:]...)
	sealed := body[:len(body)-8]
	sum := xxh3.HashSeed(sealed, xxh3.Hash(append(context, s.Key...)))
	return binary.BigEndian.AppendUint64(slices.Clone(sealed), sum)
}

func TestForgedBodies(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int
		put  []byte
		want codec.Reason
	}{
		{"version", 0, []byte{3}, codec.ReasonVersion},
		{"encrypted", 0, []byte{2}, codec.ReasonKey},
		{"flags", 1, []byte{2}, codec.ReasonVersion},
		{"negative with payload", 1, []byte{1}, codec.ReasonHostile},
		{"tag count", 67, []byte{0xff, 0xff}, codec.ReasonTooLarge},
		{"a tag more", 67, []byte{0, 4}, codec.ReasonHostile},
		{"extension count", 69, []byte{0xff, 0xff}, codec.ReasonTooLarge},
		{"an extension more", 69, []byte{0, 3}, codec.ReasonHostile},
		{"payload length", 71, []byte{0xff, 0xff, 0xff, 0xff}, codec.ReasonHostile},
		{"tag length", 75, []byte{0xff, 0xff}, codec.ReasonTooLarge},
		{"unchanged", 0, []byte{1}, codec.ReasonExtension},
	} {
		body := mustAppend(t, full())
		copy(body[c.at:], c.put)
		if _, err := codec.ParseEnvelope(forge(body, testSeal), testSeal); reasonOf(err) != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAppendEnvelopeRefusesWhatCannotBeHeld(t *testing.T) {
	x := func(kinds ...codec.ExtensionType) (all []codec.Extension) {
		for _, k := range kinds {
			all = append(all, codec.Extension{Type: k})
		}
		return all
	}
	for name, c := range map[string]struct {
		e     codec.Envelope
		large bool
	}{
		"tags":               {codec.Envelope{Tags: make([]string, codec.MaxTags+1)}, true},
		"tag":                {codec.Envelope{Tags: []string{strings.Repeat("x", codec.MaxTag+1)}}, true},
		"extension":          {codec.Envelope{Extensions: []codec.Extension{{Type: 1, Value: make([]byte, codec.MaxExtension+1)}}}, true},
		"extensions":         {codec.Envelope{Extensions: make([]codec.Extension, codec.MaxExtensions+1)}, true},
		"payload":            {codec.Envelope{Payload: make([]byte, codec.MaxBody)}, true},
		"unordered":          {codec.Envelope{Extensions: x(2, 1)}, false},
		"twice":              {codec.Envelope{Extensions: x(1, 1)}, false},
		"no extension type":  {codec.Envelope{Extensions: x(0)}, false},
		"negative, payload":  {codec.Envelope{Negative: true, Payload: []byte{1}}, false},
		"beyond the horizon": {codec.Envelope{Created: time.Unix(1<<62, 0)}, false},
	} {
		b, err := codec.AppendEnvelope([]byte("x"), &c.e, testSeal)
		if err == nil || errors.Is(err, sentinel.ErrTooLarge) != c.large || string(b) != "x" {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if _, err := codec.ParseEnvelope(make([]byte, codec.MaxBody+1), testSeal); reasonOf(err) != codec.ReasonTooLarge {
		t.Errorf("a body beyond the limit: %v", err)
	}
}

func TestParseEnvelopeAliasesOnlyWhatItSays(t *testing.T) {
	body := mustAppend(t, full())
	e, err := codec.ParseEnvelope(body, testSeal, codec.ExtensionCompression)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(e.Payload, 'x') // room for it would be the checksum
	if _, err := codec.ParseEnvelope(body, testSeal, codec.ExtensionCompression); err != nil {
		t.Error("appending to the payload changed the body")
	}
	clear(body)
	if !slices.Equal(e.Tags, full().Tags) {
		t.Errorf("tags changed with the body: %q", e.Tags)
	}
	if !bytes.Equal(e.Payload, make([]byte, 7)) {
		t.Errorf("the payload is a copy: %q", e.Payload)
	}
}
