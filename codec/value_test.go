package codec_test

import (
	"fmt"
	"testing"

	"github.com/strata-cache/strata/codec"
)

func TestEncodeDecode(t *testing.T) {
	c := codec.MessagePack[product]()
	for i, p := range products {
		e := full()
		e.Extensions = nil
		body, err := codec.Encode(c, []byte("x"), e, testSeal, p)
		if err != nil || body[0] != 'x' || e.Codec != codec.IDString {
			t.Fatalf("Encode %d: %v, %+v", i, err, e)
		}
		got, env, err := codec.Decode(c, body[1:], testSeal)
		if err != nil || !same(got, p) || env.Codec != codec.IDMessagePack || env.Schema != c.Schema() || env.Position != e.Position {
			t.Errorf("Decode %d: %+v, %+v, %v", i, got, env, err)
		}
	}
}

func TestNegative(t *testing.T) {
	c := codec.JSON[int]()
	body, err := codec.Encode(c, nil, &codec.Envelope{Negative: true}, testSeal, 7)
	if err != nil {
		t.Fatal(err)
	}
	v, e, err := codec.Decode(c, body, testSeal)
	if err != nil || v != 0 || !e.Negative || len(e.Payload) != 0 {
		t.Errorf("%d, %+v, %v", v, e, err)
	}
}

func TestAnotherFormatOrStructureIsNotDecoded(t *testing.T) {
	type before struct{ N int }
	type after struct{ N int8 }
	body, err := codec.Encode(codec.MessagePack[before](), nil, &codec.Envelope{}, testSeal, before{300})
	if err != nil {
		t.Fatal(err)
	}
	if v, _, err := codec.Decode(codec.MessagePack[after](), body, testSeal); reasonOf(err) != codec.ReasonSchema {
		t.Errorf("300 read into an int8: %v, %v", v, err)
	}
	if _, _, err := codec.Decode(codec.JSON[before](), body, testSeal); reasonOf(err) != codec.ReasonCodec {
		t.Errorf("messagepack read as json: %v", err)
	}
}

// broken is a codec that keeps no promise.
type broken struct{ codec.Codec[string] }

func (broken) Append([]byte, string) ([]byte, error) { return nil, nil }
func (broken) Decode([]byte) (string, error)         { panic("secret") }

func TestBrokenCodecsAreErrors(t *testing.T) {
	c := broken{codec.String()}
	if b, err := codec.Encode(c, []byte("x"), &codec.Envelope{}, testSeal, "v"); err == nil || string(b) != "x" {
		t.Errorf("Encode: %q, %v", b, err)
	}
	body, _ := codec.Encode(codec.String(), nil, &codec.Envelope{}, testSeal, "v")
	if v, _, err := codec.Decode(c, body, testSeal); reasonOf(err) != codec.ReasonPayload || v != "" {
		t.Errorf("Decode: %q, %v", v, err)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, c := range []codec.Codec[product]{codec.MessagePack[product](), codec.JSON[product]()} {
		b.Run(fmt.Sprintf("codec=%v", c.ID()), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 4096)
			for b.Loop() {
				if _, err := codec.Encode(c, dst, &codec.Envelope{}, testSeal, products[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []codec.Codec[product]{codec.MessagePack[product](), codec.JSON[product]()} {
		b.Run(fmt.Sprintf("codec=%v", c.ID()), func(b *testing.B) {
			body, err := codec.Encode(c, nil, &codec.Envelope{}, testSeal, products[1])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := codec.Decode(c, body, testSeal); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseEnvelope(b *testing.B) {
	for _, size := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			body := mustAppend(b, &codec.Envelope{Payload: make([]byte, size)})
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := codec.ParseEnvelope(body, testSeal); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
