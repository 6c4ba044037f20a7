package codec_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/codectest"
)

// Three structures that one type had.
type (
	itemV1 struct{ Name string }
	itemV2 struct {
		Name  string
		Price int // in euros
	}
	item struct {
		Name  string
		Cents int
	}
)

func fromV1(o itemV1) (item, error) { return item{Name: o.Name}, nil }

var errNegative = errors.New("secret")

func fromV2(o itemV2) (item, error) {
	if o.Price < 0 {
		return item{Name: "half"}, errNegative
	}
	return item{o.Name, 100 * o.Price}, nil
}

var versionedItems = codec.Versioned(codec.MessagePack[item](),
	codec.OldType(codec.MessagePack[itemV2](), fromV2), codec.OldType(codec.JSON[itemV1](), fromV1))

func encodeAs[V any](t *testing.T, c codec.Codec[V], v V) []byte {
	t.Helper()
	body, err := codec.Encode(c, nil, &codec.Envelope{}, testSeal, v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestOldStructuresAreReadByTheirHooks(t *testing.T) {
	t.Parallel()
	broken := &codec.Envelope{Codec: codec.IDMessagePack, Schema: codec.MessagePack[itemV2]().Schema(), Payload: []byte{0xc1}}
	for name, c := range map[string]struct {
		body []byte
		want item
		miss codec.Reason
	}{
		"current":                  {encodeAs(t, versionedItems, item{"chair", 4950}), item{"chair", 4950}, 0},
		"current, without hooks":   {encodeAs(t, codec.MessagePack[item](), item{"chair", 4950}), item{"chair", 4950}, 0},
		"the second version":       {encodeAs(t, codec.MessagePack[itemV2](), itemV2{"chair", 49}), item{"chair", 4900}, 0},
		"the first, in JSON":       {encodeAs(t, codec.JSON[itemV1](), itemV1{"chair"}), item{"chair", 0}, 0},
		"the first, in another":    {encodeAs(t, codec.MessagePack[itemV1](), itemV1{"chair"}), item{}, codec.ReasonSchema},
		"the second, in another":   {encodeAs(t, codec.JSON[itemV2](), itemV2{"chair", 49}), item{}, codec.ReasonCodec},
		"a hook that fails":        {encodeAs(t, codec.MessagePack[itemV2](), itemV2{"chair", -1}), item{}, codec.ReasonPayload},
		"something else":           {encodeAs(t, codec.MessagePack[[]int](), []int{1}), item{}, codec.ReasonSchema},
		"a payload that is broken": {mustAppend(t, broken), item{}, codec.ReasonHostile},
	} {
		got, _, err := codec.Decode(versionedItems, c.body, testSeal)
		if got != c.want || reasonOf(err) != c.miss || c.miss == 0 && err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if errors.Is(err, errNegative) {
			t.Errorf("%s: the error of a hook came through: %v", name, err)
		}
	}
}

func TestTheOldProgramMissesWhatTheNewOneWrites(t *testing.T) {
	t.Parallel()
	body := encodeAs(t, versionedItems, item{"chair", 4950})
	if got, _, err := codec.Decode(codec.MessagePack[itemV2](), body, testSeal); got != (itemV2{}) || reasonOf(err) != codec.ReasonSchema {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOldValuesAreReadInEveryFormat(t *testing.T) {
	t.Parallel()
	before := formats(t, codec.MessagePack[itemV2]())
	for name, f := range formats(t, versionedItems) {
		b := before[name]
		b.Encryption = f.Encryption
		body, err := b.Encode(nil, &codec.Envelope{}, testSeal, itemV2{"chair", 49})
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := f.Decode(body, testSeal); got != (item{"chair", 4900}) || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		negative, err := b.Encode(nil, &codec.Envelope{Negative: true}, testSeal, itemV2{})
		if err != nil {
			t.Fatal(err)
		}
		if _, e, err := f.Decode(negative, testSeal); !e.Negative || err != nil {
			t.Errorf("%s: negative: %+v, %v", name, e, err)
		}
	}
}

func TestAVersionedCodecIsTheCurrentOne(t *testing.T) {
	t.Parallel()
	codectest.Run(t, versionedItems, []item{{}, {"chair", 1}, {"table", -1}}, func(a, b item) bool { return a == b })
	if versionedItems.Schema() != codec.MessagePack[item]().Schema() || versionedItems.ID() != codec.IDMessagePack {
		t.Error("another format or schema")
	}
}

func TestHooksCanBeAdded(t *testing.T) {
	t.Parallel()
	c := codec.Versioned(versionedItems, codec.OldSchema(codec.IDString, 0, func(b []byte) (item, error) { return item{Name: string(b)}, nil }))
	for name, body := range map[string][]byte{
		"of the first": encodeAs(t, codec.JSON[itemV1](), itemV1{"chair"}), "of the second": encodeAs(t, codec.String(), "chair"),
	} {
		if got, _, err := codec.Decode(c, body, testSeal); got.Name != "chair" || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, _, err := codec.Decode(versionedItems, encodeAs(t, codec.String(), "chair"), testSeal); reasonOf(err) != codec.ReasonCodec {
		t.Errorf("the codec to which they were added changed: %v", err)
	}
}

// A later version of a program reads what the earlier one wrote.
func ExampleVersioned() {
	type ChairV1 struct{ Name string }
	type Chair struct {
		Name string
		Legs int
	}
	c := codec.Versioned(codec.MessagePack[Chair](), codec.OldType(codec.MessagePack[ChairV1](), func(o ChairV1) (Chair, error) {
		return Chair{Name: o.Name, Legs: 4}, nil
	}))

	s := codec.Seal{Key: "chairs/1/{42}"}
	body, err := codec.Encode(codec.MessagePack[ChairV1](), nil, &codec.Envelope{}, s, ChairV1{"stool"})
	if err != nil {
		fmt.Println(err)
	}
	v, _, err := codec.Decode(c, body, s)
	fmt.Println(v, err)
	// Output: {stool 4} <nil>
}
