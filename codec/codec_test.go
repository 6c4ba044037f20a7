package codec_test

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/codectest"
)

// A product has something of everything.
type product struct {
	ID      int64
	Name    string `msgpack:"n" json:"n"`
	Price   float64
	Small   int8
	Big     uint64
	Tags    []string
	Attr    map[string]string
	Made    time.Time
	Raw     []byte
	Parent  *product
	Sum     [4]byte
	Counts  map[int]int
	Ignored string `msgpack:"-" json:"-"`
}

var products = []product{
	{},
	{ID: 42, Name: "chair", Price: 49.5, Tags: []string{"wood", "seat"}},
	{
		ID: math.MinInt64, Name: strings.Repeat("é", 300), Price: math.MaxFloat64, Small: -128, Big: math.MaxUint64, Tags: []string{},
		Attr: map[string]string{"": "", "a": "b"}, Made: time.Unix(1700000000, 123456789).UTC(), Raw: []byte{0, 1, 0xff},
		Parent: &product{ID: 1, Parent: &product{}}, Sum: [4]byte{1, 2, 3, 4}, Counts: map[int]int{-1: 300},
	},
}

// same ignores the zone of a time, which MessagePack loses.
func same(a, b product) bool {
	if !a.Made.Equal(b.Made) {
		return false
	}
	a.Made = b.Made
	return reflect.DeepEqual(a, b)
}

func samePointer(a, b *product) bool {
	if a == nil || b == nil {
		return a == b
	}
	return same(*a, *b)
}

func equal[V comparable](a, b V) bool { return a == b }

func TestCodecs(t *testing.T) {
	pointers := []*product{nil, &products[0], &products[1], &products[2]}
	numbers := []int{0, 1, -1, 300, math.MaxInt64, math.MinInt64}
	texts := []string{"", "a", "\x00\n", strings.Repeat("x", 70000)}
	blobs := [][]byte{{}, {0}, []byte("abc"), bytes.Repeat([]byte{0xc1}, 1000)}
	anys := []any{nil, "a", true, []any{"x", nil}, map[string]any{"k": []any{}}}

	t.Run("messagepack of structs", func(t *testing.T) { codectest.Run(t, codec.MessagePack[product](), products, same) })
	t.Run("messagepack of pointers", func(t *testing.T) { codectest.Run(t, codec.MessagePack[*product](), pointers, samePointer) })
	t.Run("messagepack of integers", func(t *testing.T) { codectest.Run(t, codec.MessagePack[int](), numbers, equal[int]) })
	t.Run("messagepack of strings", func(t *testing.T) { codectest.Run(t, codec.MessagePack[string](), texts[:3], equal[string]) })
	t.Run("messagepack of anything", func(t *testing.T) { codectest.Run(t, codec.MessagePack[any](), anys, sameAny) })
	t.Run("json of structs", func(t *testing.T) { codectest.Run(t, codec.JSON[product](), products, same) })
	t.Run("json of pointers", func(t *testing.T) { codectest.Run(t, codec.JSON[*product](), pointers, samePointer) })
	t.Run("json of integers", func(t *testing.T) { codectest.Run(t, codec.JSON[int](), numbers, equal[int]) })
	t.Run("bytes", func(t *testing.T) { codectest.Run(t, codec.Bytes(), blobs, bytes.Equal) })
	t.Run("string", func(t *testing.T) { codectest.Run(t, codec.String(), texts[:3], equal[string]) })
}

func sameAny(a, b any) bool { return reflect.DeepEqual(a, b) }

func TestMessagePackOfTheSameMapIsTheSameBytes(t *testing.T) {
	c := codec.MessagePack[map[string]any]()
	m := map[string]any{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
	first, err := c.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if again, _ := c.Append(nil, m); !bytes.Equal(first, again) {
			t.Fatalf("%x, then %x", first, again)
		}
	}
}

// panicker panics in both directions.
type panicker struct{ N int }

func (panicker) MarshalText() ([]byte, error) { panic("secret") }
func (*panicker) UnmarshalText([]byte) error  { panic("secret") }

func TestPanicsOfMarshalersAreErrors(t *testing.T) {
	for _, c := range []codec.Codec[panicker]{codec.MessagePack[panicker](), codec.JSON[panicker]()} {
		if b, err := c.Append([]byte("x"), panicker{}); err == nil || string(b) != "x" {
			t.Errorf("%v: Append: %q, %v", c.ID(), b, err)
		}
		in := map[codec.ID]string{codec.IDJSON: `"a"`, codec.IDMessagePack: "\xa1a"}[c.ID()]
		_, err := c.Decode([]byte(in))
		if reasonOf(err) != codec.ReasonPayload || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: Decode: %v", c.ID(), err)
		}
	}
}

func TestErrorsNeverQuoteThePayload(t *testing.T) {
	for _, in := range []string{`{"ID":"secret"}`, `secret`, `{"Made":"secret"}`, `{"Small":77777}`} {
		_, err := codec.JSON[product]().Decode([]byte(in))
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "777") {
			t.Errorf("%s: %v", in, err)
		}
	}
	_, err := codec.MessagePack[time.Time]().Decode([]byte("\xa6secret"))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("messagepack: %v", err)
	}
}

func TestAppendRefusesWhatDecodeWould(t *testing.T) {
	var deep any
	for range codec.MaxDepth + 1 {
		deep = []any{deep}
	}
	if _, err := codec.MessagePack[any]().Append(nil, deep); err == nil {
		t.Error("a value that nests too deep was encoded")
	}
	type interned struct {
		A, B string `msgpack:",intern"`
	}
	if _, err := codec.MessagePack[interned]().Append(nil, interned{"long enough", "long enough"}); err == nil {
		t.Error("interned strings were encoded")
	}
}

// celsius encodes itself, through its pointer only.
type celsius struct{ degrees int }

func (c *celsius) MarshalText() ([]byte, error) { return fmt.Append(nil, c.degrees), nil }
func (c *celsius) UnmarshalText(b []byte) (err error) {
	c.degrees, err = strconv.Atoi(string(b))
	return err
}

func TestMarshalersWithAPointerReceiverAreUsed(t *testing.T) {
	for _, c := range []codec.Codec[celsius]{codec.MessagePack[celsius](), codec.JSON[celsius]()} {
		b, err := c.Append(nil, celsius{-40})
		if err != nil {
			t.Errorf("%v: %v", c.ID(), err)
			continue
		}
		if got, err := c.Decode(b); err != nil || got.degrees != -40 {
			t.Errorf("%v: %q decodes as %v, %v", c.ID(), b, got, err)
		}
	}
}
