package codec_test

import (
	"bytes"
	"testing"

	"github.com/strata-cache/strata/codec"
)

// FuzzEnvelope checks that a body that parses is the one body of what it parses to.
func FuzzEnvelope(f *testing.F) {
	f.Add(mustAppend(f, full()))
	f.Add(mustAppend(f, &codec.Envelope{Negative: true}))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := codec.ParseEnvelope(body, testSeal); err != nil && reasonOf(err) == 0 {
			t.Fatalf("an error without a reason: %v", err)
		}
		if len(body) < 8 {
			return
		}
		body = forge(body, testSeal) // past the checksum
		var e codec.Envelope
		var err error
		if cost := allocated(func() { e, err = codec.ParseEnvelope(body, testSeal, 1, 2) }); cost > bound(len(body)) {
			t.Fatalf("%d bytes allocate %d", len(body), cost)
		}
		if err != nil {
			return
		}
		again, err := codec.AppendEnvelope(nil, &e, testSeal)
		if err != nil || !bytes.Equal(again, body) {
			t.Fatalf("%x, written again as %x, %v", body, again, err)
		}
	})
}

// FuzzMessagePack checks that no payload costs more than a multiple of its length, whatever it is decoded into, and
// that what was decoded can be encoded and decoded again.
func FuzzMessagePack(f *testing.F) {
	for _, p := range products {
		b, err := codec.MessagePack[product]().Append(nil, p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\xdd\xff\xff\xff\xff\x01"))
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Add([]byte("\xc6\xff\xff\xff\xff"))
	f.Add([]byte("\xd7\xff\xdf\xff\xff\xff\xff\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzAs[any](t, b)
		fuzzAs[product](t, b)
		fuzzAs[map[string]any](t, b)
		fuzzAs[map[int]string](t, b)
		fuzzAs[[]map[string]string](t, b)
	})
}

func fuzzAs[V any](t *testing.T, b []byte) {
	c := codec.MessagePack[V]()
	c.Decode([]byte{0xc0})
	var v V
	var err error
	if cost := allocated(func() { v, err = c.Decode(b) }); cost > bound(len(b)) {
		t.Fatalf("%d bytes as %T allocate %d", len(b), v, cost)
	}
	if err != nil {
		if reasonOf(err) == 0 {
			t.Fatalf("an error without a reason: %v", err)
		}
		return
	}
	again, err := c.Append(nil, v)
	if err != nil {
		return // a decoded interface can hold what the library cannot encode again
	}
	if _, err := c.Decode(again); err != nil {
		t.Fatalf("%x decodes, and encodes to %x, which does not: %v", b, again, err)
	}
}

// FuzzFormat checks that whoever can forge checksums, but has no key, gets nothing decrypted, and decompresses and decodes
// nothing that costs more than the limits.
func FuzzFormat(f *testing.F) {
	all := formats(f, codec.MessagePack[product]())
	f.Add(mustAppend(f, full()), []byte{})
	for _, format := range all {
		body, err := format.Encode(nil, &codec.Envelope{Tags: []string{"a"}}, testSeal, products[2])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, body[len(body)/2:])
	}
	f.Fuzz(func(t *testing.T, body, payload []byte) {
		compressed := mustAppend(t, &codec.Envelope{
			Codec: codec.IDMessagePack, Schema: codec.MessagePack[product]().Schema(), Payload: payload,
			Extensions: []codec.Extension{{Type: codec.ExtensionCompression, Critical: true}},
		})
		forged := body
		if len(body) >= 8 {
			forged = forge(bytes.Clone(body), testSeal)
		}
		for name, format := range all {
			for _, b := range [][]byte{body, forged, compressed} {
				v, _, err := format.Decode(b, testSeal)
				if err != nil && (reasonOf(err) == 0 || !same(v, product{})) {
					t.Fatalf("%s: %+v, %v", name, v, err)
				}
				if format.Encryption != nil && err == nil && !bytes.Equal(b, body) {
					t.Fatalf("%s: decrypted what nobody encrypted", name)
				}
			}
		}
	})
}
